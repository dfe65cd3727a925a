import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { sidecarCommand } from '../../../api/names.ts';
import { injectedVariables } from './endpoint-variables.ts';
import { parsePod } from './pod-view.ts';
import { PodShapeError } from './raw-pod.ts';
import { rawContainer, rawPod } from './testing/raw-pods.ts';

const status = { 'aadpodidentity.k8s.io/status': '{"templateHash":"x","containers":[]}' };
const app = rawContainer('app');
const proxy = rawContainer('aad-pod-identity-proxy', { resources: { limits: { cpu: '1' } } });
const tokenVolume = { name: 'aad-pod-identity-token' };

test('refuses values that are not pods with one line that says why', () => {
  const cases: [unknown, RegExp][] = [
    [null, /^it is not an object$/],
    [[], /^it is not an object$/],
    [{ spec: {} }, /^metadata is not an object$/],
    [{ metadata: {} }, /^spec is not an object$/],
    [{ metadata: { labels: { a: 1 } }, spec: {} }, /^metadata\.labels is not a map of strings$/],
    [{ metadata: { labels: { a: 'x'.repeat(262_144) } }, spec: {} }, /^metadata\.labels has more than 262144 bytes$/],
    [
      { metadata: { annotations: Object.fromEntries(Array.from({ length: 60_000 }, (_, index) => [`a${index}`, ''])) }, spec: {} },
      /^metadata\.annotations has more than 262144 bytes$/,
    ],
    [{ metadata: { annotations: ['a'] }, spec: {} }, /^metadata\.annotations is not a map of strings$/],
    [{ metadata: {}, spec: { volumes: {} } }, /^spec\.volumes is not a list of objects$/],
    [{ metadata: {}, spec: { initContainers: [null] } }, /^spec\.initContainers is not a list of objects$/],
  ];
  for (const [value, message] of cases) assert.throws(() => parsePod(value), { name: PodShapeError.name, message });
});

test('throws nothing but PodShapeError and changes nothing, whatever the value', () => {
  fc.assert(
    fc.property(fc.record({ metadata: fc.jsonValue(), spec: fc.jsonValue() }), (value) => {
      const before = JSON.stringify(value);
      try {
        assert.equal(parsePod(value).raw, value);
      } catch (error) {
        assert.ok(error instanceof PodShapeError, String(error));
      }
      assert.equal(JSON.stringify(value), before);
    }),
    { numRuns: 500 },
  );
});

test('reads a pod without optional members', () => {
  const pod = parsePod({ metadata: { labels: null, annotations: null }, spec: { containers: null, initContainers: null, volumes: null } });
  assert.deepEqual([pod.labels, pod.annotations, pod.selector, pod.restartPolicy], [{}, {}, '', 'Always']);
  assert.deepEqual([pod.owners, pod.allContainers, pod.volumes, pod.ids], [[], [], [], []]);
});

test('lists the containers of all kinds with their places', () => {
  const pod = parsePod(
    rawPod({ spec: { containers: [app], initContainers: [rawContainer('i')], ephemeralContainers: [rawContainer('debug')] } }),
  );
  assert.deepEqual(
    pod.allContainers.map(({ place }) => place),
    ['spec.initContainers[i]', 'spec.containers[app]', 'spec.ephemeralContainers[debug]'],
  );
});

test('reads ids, TCP ports, variables, mounts and capabilities of a container', () => {
  const container = rawContainer('app', {
    securityContext: { runAsUser: 1, runAsGroup: '2', privileged: true, capabilities: { add: ['CAP_BPF', 'NET_ADMIN'] } },
    ports: [{ containerPort: 80 }, { containerPort: 53, protocol: 'UDP' }, { containerPort: '81' }, null],
    env: [{ name: 'A' }, { value: 'x' }, null],
    volumeMounts: [{ name: 'data', mountPath: '/data' }, { mountPath: '/x' }, null],
  });
  const [view] = parsePod(rawPod({ spec: { containers: [container] } })).containers;
  assert.deepEqual(view, {
    name: 'app',
    place: 'spec.containers[app]',
    raw: container,
    ids: [{ place: 'spec.containers[app].securityContext.runAsUser', id: 1 }],
    tcpPorts: [80],
    variables: ['A'],
    mounts: ['data'],
    privileged: true,
    capabilities: ['BPF', 'NET_ADMIN'],
  });
});

test('leaves out what an earlier admission injected', () => {
  const pod = parsePod(
    rawPod({
      annotations: { ...status, own: '1' },
      spec: {
        initContainers: [proxy],
        containers: [rawContainer('app', { env: [{ name: 'A' }, ...injectedVariables] })],
        volumes: [tokenVolume, { name: 'own' }],
      },
    }),
  );
  assert.deepEqual(pod.annotations, { own: '1' });
  assert.deepEqual(pod.initContainers, []);
  assert.deepEqual(pod.containers[0]?.variables, ['A']);
  assert.deepEqual(pod.volumes, [{ name: 'own' }]);
  assert.deepEqual([...pod.injectedContainers], [['aad-pod-identity-proxy', proxy]]);
});

test('takes containers of reserved names for own ones without a valid status', () => {
  for (const annotations of [{}, { 'aadpodidentity.k8s.io/status': 'mine' }, { 'aadpodidentity.k8s.io/status': '{}' }]) {
    const pod = parsePod(rawPod({ annotations, spec: { initContainers: [proxy], volumes: [tokenVolume] } }));
    assert.deepEqual(pod.annotations, {});
    assert.deepEqual(
      pod.initContainers.map(({ name }) => name),
      ['aad-pod-identity-proxy'],
    );
    assert.deepEqual(pod.volumes, [tokenVolume]);
    assert.equal(pod.injectedContainers.size, 0);
  }
});

const copied = [
  rawContainer('aad-pod-identity-init', { command: [...sidecarCommand], volumeMounts: [{ name: 'aad-pod-identity-empty' }] }),
  rawContainer('aad-pod-identity-proxy', { command: [...sidecarCommand], volumeMounts: [{ name: 'aad-pod-identity-token' }] }),
];

test('keeps nothing of injected containers that a copy without annotations has', () => {
  const forged = copied.map((container) => ({ ...container, image: 'other:1', resources: { limits: { cpu: '1' } } }));
  for (const spec of [{ initContainers: forged }, { initContainers: forged.slice(0, 1) }, { containers: [...forged.slice(1), app] }]) {
    const pod = parsePod(rawPod({ spec: { ...spec, volumes: [tokenVolume, { name: 'own' }] } }));
    assert.equal(pod.hasInjectedParts, true);
    assert.deepEqual([pod.initContainers, pod.containers.map(({ name }) => name)], [[], ['app']]);
    assert.deepEqual(pod.volumes, [{ name: 'own' }]);
    assert.equal(pod.injectedContainers.size, 0);
  }
});

test('takes containers of reserved names with another command or mount for own ones', () => {
  for (const other of [{ command: ['sh'] }, { command: undefined }, { volumeMounts: [] }, { volumeMounts: [{ name: 'own' }] }]) {
    const [init, proxy] = copied;
    const pod = parsePod(rawPod({ spec: { initContainers: [init, { ...proxy, ...other }] } }));
    assert.equal(pod.hasInjectedParts, false);
    assert.equal(pod.initContainers.length, 2);
  }
});

test('finds a pod guaranteed when limits equal requests in every container', () => {
  const full = { limits: { cpu: '1', memory: '1Gi' } };
  const isGuaranteed = (...lists: object[][]) => {
    const [containers = [], initContainers = []] = lists.map((list) => list.map((resources) => rawContainer('c', { resources })));
    return parsePod(rawPod({ spec: { containers, initContainers } })).guaranteed;
  };
  assert.equal(isGuaranteed([full]), true);
  assert.equal(isGuaranteed([{ ...full, requests: { cpu: '1000m' } }]), true);
  assert.equal(isGuaranteed([{ ...full, requests: { cpu: '999m' } }]), false);
  assert.equal(isGuaranteed([{ limits: { cpu: '1' } }]), false);
  assert.equal(isGuaranteed([full], [{}]), false, 'an init container counts');
  assert.equal(isGuaranteed([]), false);
});
