// Properties that hold for every pod.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import jsonpatch from 'jsonpatch';
import { reasons } from '../../api/decisions.ts';
import { injectedContainerNames, injectedVolumeNames } from '../../api/injection.ts';
import { annotations, injectedLabel } from '../../api/names.ts';
import { at, isRecord } from '../../common/records.ts';
import type { RawObject, RawPod } from '../../lib/identities/decision/raw-pod.ts';
import { nameOf, parseRawPod } from '../../lib/identities/decision/raw-pod.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { admitInput, limitRange, template } from '../testing/fixtures.ts';
import { admit } from './admit.ts';
import { violationOf } from './fit.ts';
import type { Limits } from './limit-ranges.ts';
import { combine, limitedResources, quantityOf } from './limit-ranges.ts';

const reservedNames = [...injectedContainerNames, ...injectedVolumeNames];
const names = fc.oneof(
  { weight: 9, arbitrary: fc.stringMatching(/^[a-z]{1,6}$/) },
  { weight: 1, arbitrary: fc.constantFrom(...reservedNames) },
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
      volumeMounts: fc.oneof({ weight: 9, arbitrary: fc.constant(null) }, { weight: 1, arbitrary: fc.tuple(fc.record({ name: names })) }),
      ports: fc.constantFrom([{ containerPort: 80 }], [{ containerPort: 2579 }], [{ containerPort: 9402 }], [null], null),
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
  'init-cpu-limit',
  'proxy-log-level',
  'proxy-metrics-port',
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
  '9402',
  'debug',
  '',
  'Nonsense',
  '{"templateHash":"x","containers":[]}',
  '[]',
);
const pods: fc.Arbitrary<RawPod> = fc
  .record({
    annotations: fc.option(fc.dictionary(keys, values, { maxKeys: 3 }), { nil: null }),
    labels: fc.constantFrom<Record<string, string | undefined>>(
      { aadpodidbinding: undefined },
      { aadpodidbinding: undefined, app: 'mic', [injectedLabel]: 'guard' },
      { aadpodidbinding: 'a' },
      { aadpodidbinding: 'a', app: 'mic' },
      { aadpodidbinding: '' },
      { aadpodidbinding: 'a', [injectedLabel]: 'redirect' },
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
    const base = rawPod({ spec, metadata: { ownerReferences: [{ apiVersion: 'batch/v1', kind: owner }] } });
    const own = Object.fromEntries(Object.entries(labels).filter((entry): entry is [string, string] => entry[1] !== undefined));
    return { ...base, metadata: { ...base.metadata, labels: own, annotations: map } };
  });
const bound = (...texts: string[]) => fc.option(fc.constantFrom(...texts), { nil: undefined });
const ranges = fc
  .record({
    min: fc.record({ cpu: bound('5m', '50m', '1'), memory: bound('1Mi', '100Mi') }),
    max: fc.record({ cpu: bound('1m', '60m', '1'), memory: bound('32Mi', '1Gi') }),
    default: fc.record({ cpu: bound('60m', '1'), memory: bound('32Mi') }),
    maxLimitRequestRatio: fc.record({ cpu: bound('1', '3'), memory: bound('1500m') }),
  })
  .map((item) => limitRange(JSON.parse(JSON.stringify(item)) as Parameters<typeof limitRange>[0]));
interface Scenario {
  pod: RawPod;
  mode: 'native' | 'classic';
  iptables: 'nft' | 'legacy';
  interception: string | undefined;
  hostNetwork: 'skip' | 'deny';
  guarded: boolean;
  guardHostNetwork: 'deny' | 'warn';
  guardAllow: string[];
  defaults: Record<string, string>;
  limits: Limits[];
}
const scenarios: fc.Arbitrary<Scenario> = fc.record({
  pod: pods,
  mode: fc.constantFrom('native' as const, 'classic' as const),
  iptables: fc.constantFrom('nft' as const, 'legacy' as const),
  interception: fc.constantFrom(undefined, undefined, 'none', 'other'),
  hostNetwork: fc.constantFrom('skip' as const, 'deny' as const),
  guarded: fc.boolean(),
  guardHostNetwork: fc.constantFrom('deny' as const, 'warn' as const),
  guardAllow: fc.constantFrom([], ['mic'], ['other']),
  defaults: fc.dictionary(keys, values, { maxKeys: 1 }),
  limits: fc.array(ranges, { maxLength: 2 }),
});

function admitScenario({ pod, mode, iptables, interception, hostNetwork, defaults, limits, ...guard }: Scenario) {
  return admit(
    admitInput({
      pod,
      namespace: { name: 'team', interception, defaults, guarded: guard.guarded, guardAllow: guard.guardAllow },
      exceptions: [{ name: 'mic', podLabels: { app: 'mic' } }],
      settings: { hostNetwork, guardHostNetwork: guard.guardHostNetwork },
      template: { ...template, mode, iptables },
      limits: combine(limits),
    }),
  );
}

function admitted(scenario: Scenario): RawPod {
  return parseRawPod(jsonpatch.apply_patch<unknown>(scenario.pod, admitScenario(scenario).response.patch));
}

const runs = { numRuns: 1_000 };

test('admit gives every pod one decision with a reason of that decision', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const { decision, reason, response } = admitScenario(scenario);
      assert.equal(reasons[reason].decision, decision);
      assert.equal(response.allowed, decision !== 'deny');
      assert.equal(response.message !== undefined, decision === 'deny');
      if (decision === 'deny') assert.deepEqual(response.patch, []);
      for (const warning of response.warnings) assert.match(warning, /^[^\n]{1,256}$/);
    }),
    runs,
  );
});

test('admit decides a patched pod as before and changes nothing of it', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const first = admitScenario(scenario);
      const second = admitScenario({ ...scenario, pod: admitted(scenario) });
      assert.equal(second.reason, first.reason);
      assert.deepEqual(second.response.patch, []);
    }),
    runs,
  );
});

test('admit makes of a copy without the status what it made of the pod', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      if (scenario.pod.metadata.annotations?.[annotations.status] !== undefined) return;
      const first = admitted(scenario);
      const { [annotations.status]: _status, ...others } = first.metadata.annotations ?? {};
      const copy = { ...first, metadata: { ...first.metadata, annotations: others } };
      assert.deepEqual(admitted({ ...scenario, pod: copy }).spec, first.spec);
    }),
    runs,
  );
});

test('admit redirects, guards or denies each pod of a guarded namespace', () => {
  fc.assert(
    fc.property(scenarios, (input) => {
      const scenario = { ...input, guarded: true };
      const { decision, reason } = admitScenario(scenario);
      if (decision === 'deny' || reason === 'mirror_pod') return;
      if (decision === 'skip') {
        // What the platform admin lets through by name.
        const isAllowed = reason === 'excepted' ? scenario.guardAllow.includes('mic') : scenario.guardHostNetwork === 'warn';
        assert.ok(isAllowed, reason);
        return;
      }
      const { metadata, spec } = admitted(scenario);
      const [first] = spec.initContainers ?? [];
      assert.equal(first?.name, 'aad-pod-identity-init');
      const denies = JSON.stringify(first.args).includes('--deny-imds');
      assert.equal(metadata.labels?.[injectedLabel], denies ? 'guard' : 'redirect');
      assert.equal(decision, denies ? 'guard' : 'inject');
      for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])])
        if (isRecord(container.securityContext)) assert.match(JSON.stringify(container.securityContext), /"drop":\["(ALL|NET_RAW)"\]/);
        else assert.fail('NET_RAW is not dropped');
    }),
    runs,
  );
});

test('admit never guards a pod of a namespace that is not guarded', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      assert.notEqual(admitScenario({ ...scenario, guarded: false }).decision, 'guard');
    }),
    runs,
  );
});

test('admit keeps every field and the order of what is not injected', () => {
  const own = (list: readonly RawObject[] | null | undefined, reserved: ReadonlySet<string>, withoutEnv: boolean) =>
    (list ?? []).filter((item) => !reserved.has(nameOf(item))).map((item) => (withoutEnv ? { ...item, env: undefined } : item));
  const rest = ({ containers: _c, initContainers: _i, volumes: _v, ...spec }: RawObject) => spec;
  fc.assert(
    fc.property(scenarios, (input) => {
      // Containers of a guarded namespace lose NET_RAW: net-raw.test.ts.
      const scenario = { ...input, guarded: false };
      const before = scenario.pod;
      const after = admitted(scenario);
      const setsEnv = JSON.stringify(after.metadata.annotations ?? {}).includes('\\"interception\\":\\"none\\"');
      for (const field of ['containers', 'initContainers'] as const)
        assert.deepEqual(own(after.spec[field], injectedContainerNames, setsEnv), own(before.spec[field], injectedContainerNames, setsEnv));
      assert.deepEqual(own(after.spec.volumes, injectedVolumeNames, false), own(before.spec.volumes, injectedVolumeNames, false));
      assert.deepEqual(rest(after.spec), rest(before.spec));
      for (const [key, value] of Object.entries(before.metadata.annotations ?? {}))
        if (key !== annotations.status) assert.equal(after.metadata.annotations?.[key], value);
    }),
    runs,
  );
});

test('admit marks exactly the pods that it injects, whatever marker they came with', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const { decision } = admitScenario(scenario);
      if (decision === 'deny') return;
      const { metadata, spec } = admitted(scenario);
      const redirects = (spec.initContainers ?? []).some((container) => nameOf(container) === 'aad-pod-identity-init');
      const expected = { inject: redirects ? 'redirect' : 'none', guard: 'guard', skip: undefined }[decision];
      assert.equal(metadata.labels?.[injectedLabel], expected);
    }),
    runs,
  );
});

const forgedContainers = fc.record(
  {
    name: fc.constantFrom(...injectedContainerNames),
    image: fc.constantFrom('evil.test/x:1', 'mirror.test/hub/sidecar:1', 'mirror.test/hub/evil:1', 1, null),
    imagePullPolicy: fc.constantFrom('Always', 'Never', 'Sometimes', null),
    command: fc.constantFrom(['sh'], null),
    args: fc.constantFrom(['-c', 'id'], []),
    env: fc.option(
      fc.array(
        fc.constantFrom(
          { name: 'LD_PRELOAD', value: '/data/x.so' },
          { name: 'BUN_INSPECT_PRELOAD', value: '/data/x.js' },
          { name: 'AAD_POD_IDENTITY_POD_IP', value: '127.0.0.1' },
          { name: 'HTTP_PROXY', value: 'http://x' },
          { name: 'no_proxy', valueFrom: { configMapKeyRef: { name: 'a', key: 'b' } } },
          { name: 1 },
          null,
        ),
        { maxLength: 4 },
      ),
    ),
    envFrom: fc.constant([{ secretRef: { name: 'x' } }]),
    volumeMounts: fc.constantFrom([{ name: 'data', mountPath: '/app' }], [], null),
    volumeDevices: fc.constant([{ name: 'disk', devicePath: '/dev/x' }]),
    lifecycle: fc.constantFrom({ preStop: { exec: { command: ['sh'] } } }, null),
    livenessProbe: fc.constant({ exec: { command: ['sh'] } }),
    readinessProbe: fc.constant({ httpGet: { host: '169.254.169.254', port: 80 } }),
    startupProbe: fc.constant({ exec: { command: ['sh'] } }),
    ports: fc.constantFrom([{ containerPort: 80, hostPort: 80 }], [{ containerPort: 2579 }]),
    securityContext: fc.constantFrom({ privileged: true }, { runAsUser: 0, capabilities: { add: ['ALL'] } }, {}, null),
    restartPolicy: fc.constantFrom('Always', null),
    resources: fc.constantFrom(
      { claims: [{ name: 'gpu' }] },
      { limits: { cpu: '2', 'x/gpu': '1' }, requests: { cpu: '1', memory: 'x' } },
      { limits: { memory: '1Gi' } },
      null,
    ),
    workingDir: fc.constant('/data'),
    stdin: fc.constant(true),
    terminationMessagePath: fc.constant('/data/x'),
    future: fc.jsonValue(),
  },
  { requiredKeys: ['name'] },
);

test('admit keeps nothing of forged containers but what other admission may change', () => {
  const status = { [annotations.status]: '{"templateHash":"x","containers":[]}' };
  const withForged = (pod: RawPod, init: readonly RawObject[], containers: readonly RawObject[], marks: Record<string, string>) => ({
    ...pod,
    metadata: { ...pod.metadata, annotations: { ...pod.metadata.annotations, ...marks } },
    spec: {
      ...pod.spec,
      initContainers: [...(pod.spec.initContainers ?? []), ...init],
      containers: [...containers, ...(pod.spec.containers ?? [])],
    },
  });
  const oursIn = ({ spec }: RawPod): RawObject[] =>
    [...(spec.initContainers ?? []), ...(spec.containers ?? [])].filter((container) => injectedContainerNames.has(nameOf(container)));
  const forgedLists = fc.array(forgedContainers, { maxLength: 3 });
  fc.assert(
    fc.property(scenarios, forgedLists, forgedLists, fc.boolean(), (scenario, init, containers, marked) => {
      const pod = withForged(scenario.pod, init, containers, marked ? status : {});
      const clean = withForged(scenario.pod, [], [], status);
      const { decision, reason } = admitScenario({ ...scenario, pod });
      const found = oursIn(admitted({ ...scenario, pod }));
      if (decision === 'skip' && marked && reason !== 'mirror_pod') assert.deepEqual(found, []);
      if (decision === 'skip' || decision === 'deny') return;
      const expected = oursIn(admitted({ ...scenario, pod: clean }));
      assert.deepEqual(found.map(nameOf), expected.map(nameOf));
      for (const [index, container] of found.entries()) {
        const { image, imagePullPolicy, env, resources, ...rest } = container;
        const { image: ownImage, imagePullPolicy: _policy, env: ownEnv, resources: _resources, ...ownRest } = expected[index] ?? {};
        assert.deepEqual(rest, ownRest);
        assert.ok(image === ownImage || image === 'mirror.test/hub/sidecar:1');
        assert.ok(['Always', 'IfNotPresent', 'Never'].includes(String(imagePullPolicy)));
        const variables = [env ?? []].flat() as RawObject[];
        const own = [ownEnv ?? []].flat() as RawObject[];
        assert.deepEqual(variables.slice(0, own.length), own);
        for (const { name } of variables.slice(own.length)) assert.ok(name === 'HTTP_PROXY' || name === 'no_proxy');
        for (const [field, amounts] of Object.entries(resources ?? {})) {
          assert.ok(field === 'requests' || field === 'limits');
          for (const name of Object.keys(amounts as object)) assert.ok(name === 'cpu' || name === 'memory');
        }
      }
    }),
    runs,
  );
});

test('admit changes nothing of what it made of forged containers', () => {
  fc.assert(
    fc.property(scenarios, fc.array(forgedContainers, { maxLength: 3 }), (scenario, forged) => {
      const marks = { ...scenario.pod.metadata.annotations, [annotations.status]: '{"templateHash":"x","containers":[]}' };
      const initContainers = [...(scenario.pod.spec.initContainers ?? []), ...forged];
      const pod = {
        ...scenario.pod,
        metadata: { ...scenario.pod.metadata, annotations: marks },
        spec: { ...scenario.pod.spec, initContainers },
      };
      const again = admitScenario({ ...scenario, pod: admitted({ ...scenario, pod }) });
      assert.deepEqual(again.response.patch, []);
      assert.deepEqual(
        again.response.warnings.filter((warning) => warning.includes('is reset')),
        [],
      );
    }),
    runs,
  );
});

test('admit gives its containers amounts that fit every LimitRange, or warns', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const { decision, response } = admitScenario(scenario);
      if ((decision !== 'inject' && decision !== 'guard') || isRecord(scenario.pod.spec.resources)) return;
      const { initContainers, containers: others } = admitted(scenario).spec;
      const injected = [...(initContainers ?? []), ...(others ?? [])].filter((container) => injectedContainerNames.has(nameOf(container)));
      assert.ok(injected.length > 0);
      const isFitting = injected.every((container) =>
        limitedResources.every((resource) => {
          const [request, limit] = ['requests', 'limits'].map((field) => quantityOf(at(container, 'resources', field, resource)));
          return scenario.limits.every((range) => violationOf({ request, limit }, range.container[resource]) === undefined);
        }),
      );
      assert.equal(
        response.warnings.every((warning) => !warning.includes('does not fit: ')),
        isFitting,
      );
    }),
    runs,
  );
});

test('admit writes the same template hash whatever LimitRanges there are', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const hashWith = (limits: Limits[]) => admitScenario({ ...scenario, limits }).response.auditAnnotations['template-hash'];
      assert.equal(hashWith(scenario.limits), hashWith([]));
    }),
    runs,
  );
});

test('admit leaves the submitted pod itself unchanged', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      const before = JSON.stringify(scenario.pod);
      admitScenario(scenario);
      assert.equal(JSON.stringify(scenario.pod), before);
    }),
  );
});

test('admit puts the injected containers first, each once', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      if (admitScenario(scenario).decision !== 'inject') return;
      const after = admitted(scenario);
      const init = (after.spec.initContainers ?? []).map(nameOf);
      const containers = (after.spec.containers ?? []).map(nameOf);
      const injected = [...init, ...containers].filter((name) => injectedContainerNames.has(name));
      assert.equal(new Set(injected).size, injected.length);
      assert.equal(injected.at(-1), 'aad-pod-identity-proxy');
      const native = scenario.mode === 'native';
      assert.deepEqual(init.slice(0, injected.length - (native ? 0 : 1)), injected.slice(0, native ? undefined : -1));
      if (!native) assert.equal(containers[0], 'aad-pod-identity-proxy');
    }),
    runs,
  );
});

test('admit injects no pod whose own containers mount an injected volume', () => {
  fc.assert(
    fc.property(scenarios, (scenario) => {
      if (admitScenario(scenario).decision !== 'inject') return;
      const { initContainers, containers, ephemeralContainers } = admitted(scenario).spec;
      for (const container of [...(initContainers ?? []), ...(containers ?? []), ...(ephemeralContainers ?? [])]) {
        if (injectedContainerNames.has(nameOf(container)) || !Array.isArray(container.volumeMounts)) continue;
        for (const mount of container.volumeMounts) assert.ok(!injectedVolumeNames.has(mount.name));
      }
    }),
    runs,
  );
});

const usualScenario: Scenario = {
  pod: rawPod(),
  mode: 'native',
  iptables: 'nft',
  interception: undefined,
  hostNetwork: 'skip',
  guarded: false,
  guardHostNetwork: 'deny',
  guardAllow: [],
  defaults: {},
  limits: [],
};

test('admit denies a pod to which another webhook adds a mount of the token', () => {
  const before = admitted(usualScenario);
  const sidecar = rawContainer('mesh', { volumeMounts: [{ name: 'aad-pod-identity-token', mountPath: '/token' }] });
  const pod = { ...before, spec: { ...before.spec, containers: [...(before.spec.containers ?? []), sidecar] } };
  const { reason, response } = admitScenario({ ...usualScenario, pod });
  assert.equal(reason, 'reserved_mount');
  assert.match(response.message ?? '', /^spec\.containers\[mesh\]\.volumeMounts\[aad-pod-identity-token\]: only the injected containers/);
});

test('admit moves a container of another webhook behind the injected ones', () => {
  const { spec, ...rest } = admitted(usualScenario);
  const pod = { ...rest, spec: { ...spec, initContainers: [rawContainer('mesh'), ...(spec.initContainers ?? [])] } };
  const after = admitted({ ...usualScenario, pod });
  assert.deepEqual((after.spec.initContainers ?? []).map(nameOf), ['aad-pod-identity-init', 'aad-pod-identity-proxy', 'mesh']);
});
