// The whole answer for the pods that matter (spec/injection.md Appendix B), compared with files that a person has read.
// UPDATE_GOLDENS=1 writes them anew; look at the difference before committing it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import jsonpatch from 'jsonpatch';
import { annotations } from '../api/names.ts';
import type { AdmitInput } from './admit.ts';
import { admit } from './admit.ts';
import { container, input, pod, template } from './fixtures.ts';
import type { Pod } from './pod.ts';
import { isPod } from './pod.ts';

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const classic = { template: { ...template, mode: 'classic' } } as const;
const fixed = { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m', memory: '1Gi' } };
const istioProxy = container('istio-proxy', { restartPolicy: 'Always', securityContext: { runAsUser: 1337 } });
const istioInit = container('istio-init', { securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] } } });
const linkerdInit = container('linkerd-init', { securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } } });
const owner = (kind: string, apiVersion = 'apps/v1') => ({
  generateName: 'app-',
  ownerReferences: [{ apiVersion, kind, name: 'app', controller: true }],
});

/** What the pod is after an admission, for cases that pass a second time. */
function injected(given: AdmitInput): Pod {
  const after = jsonpatch.apply_patch<unknown>(given.pod, admit(given).answer.patch);
  assert.ok(isPod(after));
  return after;
}
const bare = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { labels: { aadpodidbinding: 'reader' } },
  spec: { containers: [{ name: 'app', image: 'app:1' }] },
};
const meshAfterUs = injected(input());
const olderTemplate = injected(input({ template: { ...template, image: 'sidecar:0', init: { ...template.init, memoryLimit: '32Mi' } } }));
const withLimitRange = injected(input());

const cases: Record<string, AdmitInput> = {
  'bare-pod': input({ pod: bare }),
  'deployment-pod': input({ pod: pod({ metadata: { name: undefined, ...owner('ReplicaSet') } }) }),
  'stateful-set-pod': input({ pod: pod({ metadata: owner('StatefulSet'), spec: { hostname: 'app-0', subdomain: 'app' } }) }),
  'daemon-set-pod': input({ pod: pod({ metadata: owner('DaemonSet'), spec: { affinity: { nodeAffinity: {} } } }) }),
  'job-pod': input({ pod: pod({ metadata: owner('Job', 'batch/v1'), spec: { restartPolicy: 'Never' } }) }),
  'three-init-containers': input({ pod: pod({ spec: { initContainers: [container('a'), container('b'), container('c')] } }) }),
  'odd-annotation-keys': input({ pod: pod({ annotations: { 'a.b/c~d': '1', 'x/y': '2', [key('proxy-log-lvl')]: 'debug' } }) }),
  'unknown-fields': input({
    pod: { ...pod({ spec: { futureField: { a: [1] }, containers: [container('app', { futureField: 1 })] } }), futureRoot: 1 },
  }),
  'istio-native-before-us': input({ pod: pod({ spec: { initContainers: [istioInit, istioProxy, container('migrate')] } }) }),
  'istio-classic-before-us': input({
    pod: pod({ spec: { initContainers: [istioInit], containers: [container('app'), container('istio-proxy')] } }),
  }),
  'linkerd-before-us': input({
    pod: pod({ spec: { initContainers: [linkerdInit, container('linkerd-proxy', { restartPolicy: 'Always' })] } }),
  }),
  'istio-native-after-us': input({
    pod: {
      ...meshAfterUs,
      spec: { ...meshAfterUs.spec, initContainers: [istioInit, istioProxy, ...(meshAfterUs.spec.initContainers ?? [])] },
    },
  }),
  'again-unchanged': input({ pod: injected(input()) }),
  'again-with-limit-range-defaults': input({
    pod: {
      ...withLimitRange,
      spec: {
        ...withLimitRange.spec,
        initContainers: (withLimitRange.spec.initContainers ?? []).map((one) => ({
          ...one,
          resources: { limits: { cpu: '500m', memory: '64Mi' }, requests: { cpu: '10m', memory: '16Mi', 'ephemeral-storage': '1Gi' } },
        })),
      },
    },
  }),
  'again-older-template': input({ pod: olderTemplate }),
  'again-but-opted-out': input({
    pod: {
      ...meshAfterUs,
      metadata: { ...meshAfterUs.metadata, annotations: { ...meshAfterUs.metadata.annotations, [annotations.inject]: 'false' } },
    },
  }),
  'broker-without-address': input({ template: { ...template, broker: { ...template.broker, address: undefined } } }),
  'block-wire-server-and-instance-metadata': input({ template: { ...template, blockWireServer: true, blockInstanceMetadata: true } }),
  'legacy-iptables': input({ template: { ...template, iptables: 'legacy' } }),
  'guaranteed-pod': input({
    pod: pod({ spec: { containers: [container('app', { resources: fixed })], initContainers: [container('i', { resources: fixed })] } }),
  }),
  'pod-level-resources': input({ pod: pod({ spec: { resources: { limits: { cpu: '2' } } } }) }),
  'resource-annotations': input({
    pod: pod({
      annotations: {
        [key('proxy-cpu-request')]: '50m',
        [key('proxy-cpu-limit')]: '0.5',
        [key('proxy-memory-request')]: '96Mi',
        [key('proxy-log-level')]: 'debug',
      },
    }),
  }),
  'classic-deployment-pod': input({
    pod: pod({ metadata: owner('ReplicaSet'), spec: { initContainers: [container('migrate')] } }),
    ...classic,
  }),
  'classic-again': input({ pod: injected(input(classic)), ...classic }),
  'classic-pod-that-should-complete': input({ pod: pod({ spec: { restartPolicy: 'OnFailure' } }), ...classic }),
  'interception-none': input({
    pod: pod({
      spec: {
        initContainers: [container('migrate')],
        containers: [container('app', { env: [{ name: 'A', value: 'b' }] }), container('side')],
      },
    }),
    namespace: { name: 'team', interception: 'none', podSecurity: 'restricted' },
  }),
  'interception-none-again': input({
    pod: injected(input({ namespace: { name: 'team', interception: 'none' } })),
    namespace: { name: 'team', interception: 'none' },
  }),
  'pod-security-baseline': input({ namespace: { name: 'team', podSecurity: 'baseline' } }),
  'powerful-container': input({ pod: pod({ spec: { containers: [container('app', { securityContext: { privileged: true } })] } }) }),
  'virtual-node': input({ pod: pod({ spec: { tolerations: [{ key: 'virtual-kubelet.io/provider', operator: 'Exists' }] } }) }),
  excepted: input({ pod: pod({ labels: { app: 'mic' } }), exceptions: [{ name: 'mic-exception', podLabels: { app: 'mic' } }] }),
  'host-network': input({ pod: pod({ spec: { hostNetwork: true } }) }),
  windows: input({ pod: pod({ spec: { os: { name: 'windows' } } }) }),
  'mirror-pod': input({ pod: pod({ annotations: { 'kubernetes.io/config.mirror': 'x' } }) }),
  'reserved-name-under-a-status-that-is-none': input({
    pod: pod({ annotations: { [annotations.status]: 'mine' }, spec: { initContainers: [container('aad-pod-identity-init')] } }),
  }),
  'reserved-name': input({ pod: pod({ spec: { containers: [container('aad-pod-identity-proxy')] } }) }),
};

for (const [name, given] of Object.entries(cases)) {
  test(`golden: ${name}`, () => {
    const { decision, reason, answer } = admit(given);
    const file = new URL(`./goldens/${name}.json`, import.meta.url);
    const found = JSON.parse(JSON.stringify({ decision, reason, ...answer }, readable)) as unknown;
    if (process.env.UPDATE_GOLDENS === '1') writeFileSync(file, `${JSON.stringify(found, undefined, 2)}\n`);
    assert.deepEqual(found, JSON.parse(readFileSync(file, 'utf8')));
  });
}

/** The status annotation as an object, so that a change in it can be read. */
function readable(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('{"version"')) return value;
  return { parsed: JSON.parse(value) as unknown };
}
