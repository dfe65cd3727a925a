// What holds for every pod, not only for those that someone thought of.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import jsonpatch from 'jsonpatch';
import { annotations } from '../api/names.ts';
import { reasons } from '../api/reasons.ts';
import type { AdmitInput } from './admit.ts';
import { admit } from './admit.ts';
import { container, input, pod, template } from './fixtures.ts';
import type { Pod, RawObject } from './pod.ts';
import { isPod, nameOf } from './pod.ts';
import { reservedContainerNames, reservedVolumeNames } from './strip.ts';

const oneOfOurs = ['aad-pod-identity-init', 'aad-pod-identity-proxy', 'aad-pod-identity-token', 'aad-pod-identity-empty'];
const names = fc.oneof(
  { weight: 9, arbitrary: fc.stringMatching(/^[a-z]{1,6}$/) },
  { weight: 1, arbitrary: fc.constantFrom(...oneOfOurs) },
);
const amount = fc.constantFrom('1', '100m', '64Mi', 'x', 5, null);
const amounts = fc.dictionary(fc.constantFrom('cpu', 'memory', 'gpu'), amount);
const context = fc.record(
  {
    runAsUser: fc.constantFrom(0, 1000, 25790, '25790'),
    privileged: fc.boolean(),
    capabilities: fc.record({ add: fc.constantFrom(['BPF'], null, []) }),
  },
  { requiredKeys: [] },
);
const variables = fc.array(
  fc.constantFrom({ name: 'A', value: '1' }, { name: 'IDENTITY_ENDPOINT', value: 'x' }, { name: 'MSI_SECRET' }, null),
  { maxLength: 2 },
);
const containers = fc
  .record(
    {
      name: names,
      env: fc.option(variables),
      resources: fc.record({ limits: amounts, requests: amounts }, { requiredKeys: [] }),
      securityContext: context,
      ports: fc.constantFrom([{ containerPort: 80 }], [{ containerPort: 2579 }], [null], null),
      future: fc.jsonValue(),
    },
    { requiredKeys: ['name'] },
  )
  .map((more): RawObject => ({ ...more }));
const listOf = (item: fc.Arbitrary<RawObject>) => fc.option(fc.array(item, { maxLength: 3 }), { nil: null });
const ourKeys = [
  'inject',
  'interception',
  'proxy-cpu-request',
  'proxy-memory-limit',
  'proxy-log-level',
  'default-identity',
  'status',
  'typo',
];
const keys = fc.oneof(
  fc.constantFrom(...ourKeys.map((key) => `aadpodidentity.k8s.io/${key}`)),
  fc.constantFrom('a/b~c', 'kubernetes.io/config.mirror', 'x'),
);
const values = fc.constantFrom(
  'true',
  'false',
  'none',
  'redirect',
  '10m',
  '64Mi',
  'debug',
  '',
  'Nonsense',
  '{"templateHash":"x","containers":[]}',
  '[]',
);
const pods: fc.Arbitrary<Pod> = fc
  .record({
    annotations: fc.option(fc.dictionary(keys, values, { maxKeys: 3 }), { nil: null }),
    labels: fc.constantFrom<Record<string, string>>(
      { aadpodidbinding: 'a' },
      { aadpodidbinding: 'a', app: 'mic' },
      { aadpodidbinding: '' },
    ),
    spec: fc.record(
      {
        containers: listOf(containers),
        initContainers: listOf(containers),
        volumes: listOf(names.map((name) => ({ name, emptyDir: {} }))),
        hostNetwork: fc.constantFrom(true, false, null),
        securityContext: context,
        restartPolicy: fc.constantFrom('Always', 'Never'),
        resources: fc.constantFrom({ limits: { cpu: '1' } }, null),
        os: fc.constantFrom({ name: 'linux' }, { name: 'windows' }, null),
        future: fc.jsonValue(),
      },
      { requiredKeys: ['containers'] },
    ),
    owner: fc.constantFrom('Job', 'ReplicaSet'),
  })
  .map(({ annotations: map, labels, spec, owner }) => {
    const base = pod({ labels, spec, metadata: { ownerReferences: [{ apiVersion: 'batch/v1', kind: owner }] } });
    return { ...base, metadata: { ...base.metadata, annotations: map } };
  });
const inputs: fc.Arbitrary<AdmitInput> = fc
  .record({
    pod: pods,
    mode: fc.constantFrom('native' as const, 'classic' as const),
    iptables: fc.constantFrom('nft' as const, 'legacy' as const),
    interception: fc.constantFrom(undefined, undefined, 'none', 'other'),
    hostNetwork: fc.constantFrom('skip' as const, 'deny' as const),
  })
  .map((given) =>
    input({
      pod: given.pod,
      namespace: { name: 'team', interception: given.interception },
      exceptions: [{ name: 'mic', podLabels: { app: 'mic' } }],
      settings: { hostNetwork: given.hostNetwork },
      template: { ...template, mode: given.mode, iptables: given.iptables },
    }),
  );

function patched(given: AdmitInput): Pod {
  const after = jsonpatch.apply_patch<unknown>(given.pod, admit(given).answer.patch);
  assert.ok(isPod(after));
  return after;
}

const runs = { numRuns: 3_000 };

test('every pod gets exactly one decision with a reason of that decision, and warnings that fit', () => {
  fc.assert(
    fc.property(inputs, (given) => {
      const { decision, reason, answer } = admit(given);
      assert.equal(reasons[reason].decision, decision);
      assert.equal(answer.allowed, decision !== 'deny');
      assert.equal(answer.message !== undefined, decision === 'deny');
      if (decision === 'deny') assert.deepEqual(answer.patch, []);
      for (const warning of answer.warnings) assert.match(warning, /^[^\n]{1,256}$/);
    }),
    runs,
  );
});

test('a second pass over the patched pod decides the same and changes nothing', () => {
  fc.assert(
    fc.property(inputs, (given) => {
      const first = admit(given);
      const second = admit({ ...given, pod: patched(given) });
      assert.equal(second.reason, first.reason);
      assert.deepEqual(second.answer.patch, []);
    }),
    runs,
  );
});

test("what is the user's stays, in its order and unchanged", () => {
  const users = (list: RawObject[] | null | undefined, reserved: ReadonlySet<string>, alsoEnv: boolean) =>
    (list ?? []).filter((item) => !reserved.has(nameOf(item))).map((item) => (alsoEnv ? { ...item, env: undefined } : item));
  fc.assert(
    fc.property(inputs, (given) => {
      const before = given.pod;
      const after = patched(given);
      const none = JSON.stringify(after.metadata.annotations ?? {}).includes('\\"interception\\":\\"none\\"');
      for (const field of ['containers', 'initContainers'] as const)
        assert.deepEqual(users(after.spec[field], reservedContainerNames, none), users(before.spec[field], reservedContainerNames, none));
      assert.deepEqual(users(after.spec.volumes, reservedVolumeNames, false), users(before.spec.volumes, reservedVolumeNames, false));
      const rest = ({ containers: _c, initContainers: _i, volumes: _v, ...spec }: RawObject) => spec;
      assert.deepEqual(rest(after.spec), rest(before.spec));
      for (const [key, value] of Object.entries(before.metadata.annotations ?? {}))
        if (key !== annotations.status) assert.equal(after.metadata.annotations?.[key], value);
    }),
    runs,
  );
});

test('an injected pod has our containers once, first, and only there', () => {
  fc.assert(
    fc.property(inputs, (given) => {
      if (admit(given).decision !== 'inject') return;
      const after = patched(given);
      const init = (after.spec.initContainers ?? []).map(nameOf);
      const apps = (after.spec.containers ?? []).map(nameOf);
      const ours = [...init, ...apps].filter((name) => reservedContainerNames.has(name));
      assert.equal(new Set(ours).size, ours.length);
      assert.equal(ours.at(-1), 'aad-pod-identity-proxy');
      const native = given.template.mode === 'native';
      assert.deepEqual(init.slice(0, ours.length - (native ? 0 : 1)), ours.slice(0, native ? undefined : -1));
      if (!native) assert.equal(apps[0], 'aad-pod-identity-proxy');
    }),
    runs,
  );
});

test('a container that another webhook puts in front of ours on the way is put behind them', () => {
  const given = input();
  const once = patched(given);
  const meddled: Pod = { ...once, spec: { ...once.spec, initContainers: [container('mesh'), ...(once.spec.initContainers ?? [])] } };
  const after = patched({ ...given, pod: meddled });
  assert.deepEqual((after.spec.initContainers ?? []).map(nameOf), ['aad-pod-identity-init', 'aad-pod-identity-proxy', 'mesh']);
});
