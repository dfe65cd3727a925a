// The whole response for typical and odd pods, compared with files that a person has read.
// UPDATE_GOLDENS=1 writes them again; look at the difference before committing it.
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import jsonpatch from 'jsonpatch';
import { injectedContainerNames } from '../../api/injection.ts';
import { annotations, injectedLabel } from '../../api/names.ts';
import { listOf } from '../../lib/identities/decision/container-view.ts';
import type { RawObject, RawPod } from '../../lib/identities/decision/raw-pod.ts';
import { nameOf, parseRawPod } from '../../lib/identities/decision/raw-pod.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { admitInput, limitRange, template } from '../testing/fixtures.ts';
import type { AdmitInput } from './admit.ts';
import { admit } from './admit.ts';
import { combine } from './limit-ranges.ts';

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const classic = { template: { ...template, mode: 'classic' } } as const;
const fixed = { limits: { cpu: '1', memory: '1Gi' }, requests: { cpu: '1000m', memory: '1Gi' } };
const istioProxy = rawContainer('istio-proxy', { restartPolicy: 'Always', securityContext: { runAsUser: 1337 } });
const istioInit = rawContainer('istio-init', { securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'], drop: ['ALL'] } } });
const linkerdInit = rawContainer('linkerd-init', { securityContext: { capabilities: { add: ['NET_ADMIN', 'NET_RAW'] } } });
const owner = (kind: string, apiVersion = 'apps/v1') => ({
  generateName: 'app-',
  ownerReferences: [{ apiVersion, kind, name: 'app', controller: true }],
});

/** The pod after an admission, for cases that pass a second time. */
function injected(input: AdmitInput): RawPod {
  return parseRawPod(jsonpatch.apply_patch<unknown>(input.pod.raw, admit(input).response.patch));
}
/** The pod after another webhook has changed our containers. Their variables stand behind those of `change`. */
function withOurs(pod: RawPod, { env = [], ...change }: RawObject & { env?: object[] }): RawPod {
  const changed = (list: readonly RawObject[] | null | undefined) =>
    (list ?? []).map((one) => {
      if (!injectedContainerNames.has(nameOf(one))) return one;
      return { ...one, ...change, ...(env.length === 0 ? {} : { env: [...env, ...listOf(one.env)] }) };
    });
  return { ...pod, spec: { ...pod.spec, initContainers: changed(pod.spec.initContainers), containers: changed(pod.spec.containers) } };
}
/** As `kubectl debug --copy-to` makes it. */
function withoutAnnotations(pod: RawPod): RawPod {
  const { annotations: _annotations, ...metadata } = pod.metadata;
  return { ...pod, metadata };
}
const guarded = { name: 'team', guarded: true };
function unlabelled(pod: RawPod): RawPod {
  const { aadpodidbinding: _label, ...labels } = pod.metadata.labels ?? {};
  return { ...pod, metadata: { ...pod.metadata, labels } };
}
const labelled = (pod: RawPod): RawPod => ({
  ...pod,
  metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, aadpodidbinding: 'reader' } },
});
const bare = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { labels: { aadpodidbinding: 'reader' } },
  spec: { containers: [{ name: 'app', image: 'app:1' }] },
};
const meshAfterUs = injected(admitInput());
const olderTemplate = injected(
  admitInput({ template: { ...template, image: 'sidecar:0', init: { ...template.init, memoryLimit: '32Mi' } } }),
);
const withLimitRange = injected(admitInput());

const cases: Record<string, AdmitInput> = {
  'bare-pod': admitInput({ pod: bare }),
  'deployment-pod': admitInput({ pod: rawPod({ metadata: { name: undefined, ...owner('ReplicaSet') } }) }),
  'stateful-set-pod': admitInput({ pod: rawPod({ metadata: owner('StatefulSet'), spec: { hostname: 'app-0', subdomain: 'app' } }) }),
  'daemon-set-pod': admitInput({ pod: rawPod({ metadata: owner('DaemonSet'), spec: { affinity: { nodeAffinity: {} } } }) }),
  'job-pod': admitInput({ pod: rawPod({ metadata: owner('Job', 'batch/v1'), spec: { restartPolicy: 'Never' } }) }),
  'three-init-containers': admitInput({
    pod: rawPod({ spec: { initContainers: [rawContainer('a'), rawContainer('b'), rawContainer('c')] } }),
  }),
  'odd-annotation-keys': admitInput({ pod: rawPod({ annotations: { 'a.b/c~d': '1', 'x/y': '2', [key('proxy-log-lvl')]: 'debug' } }) }),
  'unknown-fields': admitInput({
    pod: { ...rawPod({ spec: { futureField: { a: [1] }, containers: [rawContainer('app', { futureField: 1 })] } }), futureRoot: 1 },
  }),
  'istio-native-before-us': admitInput({ pod: rawPod({ spec: { initContainers: [istioInit, istioProxy, rawContainer('migrate')] } }) }),
  'istio-classic-before-us': admitInput({
    pod: rawPod({ spec: { initContainers: [istioInit], containers: [rawContainer('app'), rawContainer('istio-proxy')] } }),
  }),
  'linkerd-before-us': admitInput({
    pod: rawPod({ spec: { initContainers: [linkerdInit, rawContainer('linkerd-proxy', { restartPolicy: 'Always' })] } }),
  }),
  'istio-native-after-us': admitInput({
    pod: {
      ...meshAfterUs,
      spec: { ...meshAfterUs.spec, initContainers: [istioInit, istioProxy, ...(meshAfterUs.spec.initContainers ?? [])] },
    },
  }),
  'again-unchanged': admitInput({ pod: injected(admitInput()) }),
  'again-with-limit-range-defaults': admitInput({
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
  'again-older-template': admitInput({ pod: olderTemplate }),
  'again-after-other-admission': admitInput({
    pod: withOurs(injected(admitInput()), {
      image: 'mirror.test/hub/sidecar:1',
      imagePullPolicy: 'Always',
      resources: { requests: { cpu: '25m', memory: '20Mi' }, limits: { cpu: '1', memory: '80Mi' } },
      env: [{ name: 'HTTP_PROXY', value: 'http://proxy.test' }],
    }),
  }),
  'classic-again-after-other-admission': admitInput({
    pod: withOurs(injected(admitInput(classic)), { image: 'mirror.test/hub/sidecar:1', imagePullPolicy: 'Always' }),
    ...classic,
  }),
  'guarded-again-after-other-admission': admitInput({
    pod: withOurs(injected(admitInput({ pod: unlabelled(rawPod()), namespace: guarded })), {
      image: 'other.test/hub/sidecar:1',
      imagePullPolicy: 'Always',
    }),
    namespace: guarded,
  }),
  'forged-first-submission': admitInput({
    pod: rawPod({
      annotations: { [annotations.status]: '{"templateHash":"x","containers":[]}' },
      spec: {
        initContainers: [
          rawContainer('aad-pod-identity-proxy', {
            command: ['sh'],
            env: [{ name: 'LD_PRELOAD', value: '/data/x.so' }],
            envFrom: [{ secretRef: { name: 'x' } }],
            volumeMounts: [{ name: 'data', mountPath: '/app' }],
            volumeDevices: [{ name: 'disk', devicePath: '/dev/x' }],
            lifecycle: { preStop: { exec: { command: ['sh'] } } },
            startupProbe: { exec: { command: ['sh'] } },
            ports: [{ containerPort: 1 }],
            securityContext: { privileged: true },
            resources: { claims: [{ name: 'gpu' }] },
          }),
        ],
      },
    }),
  }),
  'debug-copy-without-annotations': admitInput({ pod: withoutAnnotations(injected(admitInput())) }),
  'debug-copy-of-a-guarded-pod': admitInput({
    pod: withoutAnnotations(injected(admitInput({ pod: unlabelled(rawPod()), namespace: guarded }))),
    namespace: guarded,
  }),
  'again-but-opted-out': admitInput({
    pod: {
      ...meshAfterUs,
      metadata: { ...meshAfterUs.metadata, annotations: { ...meshAfterUs.metadata.annotations, [annotations.inject]: 'false' } },
    },
  }),
  'broker-without-address': admitInput({ template: { ...template, broker: { ...template.broker, address: undefined } } }),
  'block-wire-server-and-instance-metadata': admitInput({ template: { ...template, blockWireServer: true, blockInstanceMetadata: true } }),
  'event-approval-allowed': admitInput({ template: { ...template, allowEventApproval: true } }),
  'legacy-iptables': admitInput({ template: { ...template, iptables: 'legacy' } }),
  'guaranteed-pod': admitInput({
    pod: rawPod({
      spec: { containers: [rawContainer('app', { resources: fixed })], initContainers: [rawContainer('i', { resources: fixed })] },
    }),
  }),
  'pod-with-an-app-armor-profile-of-the-node': admitInput({
    pod: rawPod({ spec: { securityContext: { appArmorProfile: { type: 'Localhost', localhostProfile: 'app' } } } }),
  }),
  'pod-level-resources': admitInput({ pod: rawPod({ spec: { resources: { limits: { cpu: '2' } } } }) }),
  'resource-annotations': admitInput({
    pod: rawPod({
      annotations: {
        [key('proxy-cpu-request')]: '50m',
        [key('proxy-cpu-limit')]: '0.5',
        [key('proxy-memory-request')]: '96Mi',
        [key('proxy-log-level')]: 'debug',
      },
    }),
  }),
  'metrics-port': admitInput({ pod: rawPod({ annotations: { [key('proxy-metrics-port')]: '9402' } }) }),
  'metrics-port-that-is-taken': admitInput({
    pod: rawPod({ spec: { containers: [rawContainer('app', { ports: [{ containerPort: 9402 }] })] } }),
    template: { ...template, proxy: { ...template.proxy, metricsPort: 9402 } },
  }),
  'resource-annotations-of-pod-and-namespace': admitInput({
    pod: rawPod({ annotations: { [key('init-memory-limit')]: '32Mi', [key('proxy-cpu-request')]: '30m' } }),
    namespace: {
      name: 'team',
      defaults: { [key('init-memory-limit')]: '48Mi', [key('proxy-cpu-limit')]: '200m', [key('proxy-log-level')]: 'warn' },
    },
  }),
  'every-container-with-a-cpu-limit': admitInput({
    pod: rawPod({ spec: { containers: [rawContainer('app', { resources: { limits: { cpu: '2' } } })] } }),
  }),
  'limit-ranges': admitInput({
    limits: combine([
      limitRange({ min: { cpu: '50m' }, default: { cpu: '400m' }, maxLimitRequestRatio: { cpu: '4', memory: '2' } }),
      limitRange({ max: { cpu: '300m' } }, { name: 'pods', pod: { max: { memory: '32Mi' } } }),
    ]),
  }),
  'limit-range-that-no-amount-fits': admitInput({ limits: limitRange({ max: { memory: '8Mi' } }) }),
  'classic-deployment-pod': admitInput({
    pod: rawPod({ metadata: owner('ReplicaSet'), spec: { initContainers: [rawContainer('migrate')] } }),
    ...classic,
  }),
  'classic-again': admitInput({ pod: injected(admitInput(classic)), ...classic }),
  'classic-pod-that-should-complete': admitInput({ pod: rawPod({ spec: { restartPolicy: 'OnFailure' } }), ...classic }),
  'classic-job-pod': admitInput({ pod: rawPod({ metadata: owner('Job', 'batch/v1'), spec: { restartPolicy: 'Never' } }), ...classic }),
  'interception-none': admitInput({
    pod: rawPod({
      spec: {
        initContainers: [rawContainer('migrate')],
        containers: [rawContainer('app', { env: [{ name: 'A', value: 'b' }] }), rawContainer('side')],
      },
    }),
    namespace: { name: 'team', interception: 'none', podSecurity: 'restricted' },
  }),
  'interception-none-again': admitInput({
    pod: injected(admitInput({ namespace: { name: 'team', interception: 'none' } })),
    namespace: { name: 'team', interception: 'none' },
  }),
  'pod-security-baseline': admitInput({ namespace: { name: 'team', podSecurity: 'baseline' } }),
  'powerful-container': admitInput({
    pod: rawPod({ spec: { containers: [rawContainer('app', { securityContext: { privileged: true } })] } }),
  }),
  'virtual-node': admitInput({ pod: rawPod({ spec: { tolerations: [{ key: 'virtual-kubelet.io/provider', operator: 'Exists' }] } }) }),
  excepted: admitInput({ pod: rawPod({ labels: { app: 'mic' } }), exceptions: [{ name: 'mic-exception', podLabels: { app: 'mic' } }] }),
  'host-network': admitInput({ pod: rawPod({ spec: { hostNetwork: true } }) }),
  windows: admitInput({ pod: rawPod({ spec: { os: { name: 'windows' } } }) }),
  'mirror-pod': admitInput({ pod: rawPod({ annotations: { 'kubernetes.io/config.mirror': 'x' } }) }),
  'guarded-pod': admitInput({
    pod: unlabelled(
      rawPod({ spec: { initContainers: [rawContainer('migrate', { securityContext: { capabilities: { drop: ['ALL'] } } })] } }),
    ),
    namespace: guarded,
  }),
  'guarded-with-init-annotations-and-limit-range': admitInput({
    pod: unlabelled(rawPod({ annotations: { [key('init-cpu-limit')]: '1', [key('proxy-cpu-limit')]: 'x' } })),
    namespace: { ...guarded, defaults: { [key('init-memory-request')]: '20Mi' } },
    limits: limitRange({ maxLimitRequestRatio: { cpu: '10' } }),
  }),
  'guarded-again': admitInput({
    pod: injected(admitInput({ pod: unlabelled(rawPod()), namespace: guarded })),
    namespace: guarded,
  }),
  'guarded-job-with-legacy-iptables': admitInput({
    pod: unlabelled(rawPod({ metadata: owner('Job', 'batch/v1'), spec: { restartPolicy: 'Never' } })),
    namespace: guarded,
    template: { ...template, mode: 'classic', iptables: 'legacy', blockWireServer: true },
  }),
  'guarded-and-opted-out': admitInput({ pod: rawPod({ annotations: { [annotations.inject]: 'false' } }), namespace: guarded }),
  'guarded-and-labelled': admitInput({ namespace: guarded }),
  'guarded-pod-that-is-labelled-later': admitInput({
    pod: labelled(injected(admitInput({ pod: unlabelled(rawPod()), namespace: guarded }))),
    namespace: guarded,
  }),
  'guarded-with-istio-init': admitInput({ pod: rawPod({ spec: { initContainers: [istioInit, istioProxy] } }), namespace: guarded }),
  'guarded-with-classic-istio-proxy': admitInput({
    pod: unlabelled(rawPod({ spec: { containers: [rawContainer('app'), rawContainer('istio-proxy')] } })),
    namespace: { ...guarded, guardWarnings: ['a warning about the namespace'] },
  }),
  'guarded-namespace-with-pod-security': admitInput({ pod: unlabelled(rawPod()), namespace: { ...guarded, podSecurity: 'restricted' } }),
  'opted-out-with-a-forged-marker': admitInput({
    pod: rawPod({ labels: { [injectedLabel]: 'redirect' }, annotations: { [annotations.inject]: 'false' } }),
  }),
  'mirror-pod-with-a-forged-marker': admitInput({
    pod: rawPod({ labels: { [injectedLabel]: 'none' }, annotations: { 'kubernetes.io/config.mirror': 'x' } }),
  }),
  'mirror-pod-with-a-forged-status': admitInput({
    pod: rawPod({
      annotations: { 'kubernetes.io/config.mirror': 'x', [annotations.status]: '{"templateHash":"x"}' },
      spec: { initContainers: [rawContainer('aad-pod-identity-init')] },
    }),
  }),
  'reserved-name-under-a-status-that-is-none': admitInput({
    pod: rawPod({ annotations: { [annotations.status]: 'mine' }, spec: { initContainers: [rawContainer('aad-pod-identity-init')] } }),
  }),
  'reserved-name': admitInput({ pod: rawPod({ spec: { containers: [rawContainer('aad-pod-identity-proxy')] } }) }),
};

for (const [name, input] of Object.entries(cases)) {
  test(`admits ${name} as its golden file says`, () => {
    const { decision, reason, response } = admit(input);
    const file = new URL(`./goldens/${name}.json`, import.meta.url);
    const found = JSON.parse(JSON.stringify({ decision, reason, ...response }, readable)) as unknown;
    if (process.env.UPDATE_GOLDENS === '1') writeFileSync(file, `${JSON.stringify(found, undefined, 2)}\n`);
    assert.deepEqual(found, JSON.parse(readFileSync(file, 'utf8')));
  });
}

/** The status annotation as an object, so that a change in it can be read. */
function readable(_key: string, value: unknown): unknown {
  if (typeof value !== 'string' || !value.startsWith('{"version"')) return value;
  return { parsed: JSON.parse(value) as unknown };
}
