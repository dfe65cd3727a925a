import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReasonCode } from '../../../api/decisions.ts';
import { reasons } from '../../../api/decisions.ts';
import type { PodException } from '../exceptions.ts';
import type { DecideSettings, NamespaceFacts } from './decide.ts';
import { decide } from './decide.ts';
import { parsePod } from './pod-view.ts';
import type { RawPod } from './raw-pod.ts';
import { rawContainer, rawPod } from './testing/raw-pods.ts';

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const mirror = { 'kubernetes.io/config.mirror': 'x' };
const optOut = { [key('inject')]: 'false' };
const excepting: PodException[] = [{ name: 'mic', podLabels: { app: 'MIC', other: 'x' } }];

interface Case {
  name: string;
  pod: RawPod;
  reason: ReasonCode;
  detail?: string;
  namespace?: Partial<NamespaceFacts>;
  exceptions?: PodException[];
  settings?: Partial<DecideSettings>;
}

const inherit = (interception: string) => ({ namespace: { interception } });
const context = (securityContext: object) => rawPod({ spec: { securityContext } });
const withContainer = (more: object, field = 'containers') => rawPod({ spec: { [field]: [rawContainer('x', { ...more })] } });
const job = { metadata: { ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'j' }] } };

const guarded = { guarded: true, guardAllow: ['listed'] };
const listed: PodException = { name: 'listed', podLabels: { app: 'x', allowed: 'yes' } };
const unlabelled = (parts: Parameters<typeof rawPod>[0] = {}): RawPod => {
  const pod = rawPod(parts);
  const { aadpodidbinding: _label, ...labels } = pod.metadata.labels ?? {};
  return { ...pod, metadata: { ...pod.metadata, labels } };
};
const guardCases: Case[] = (
  [
    { name: 'a labelled pod', pod: rawPod(), reason: 'injected' },
    { name: 'an unlabelled pod', pod: unlabelled(), reason: 'guarded' },
    {
      name: 'an unlabelled pod with an odd inject annotation',
      pod: unlabelled({ annotations: { [key('inject')]: 'no' } }),
      reason: 'guarded',
    },
    {
      name: 'an unlabelled pod with an invalid quantity for the proxy',
      pod: unlabelled({ annotations: { [key('proxy-cpu-limit')]: 'much' } }),
      reason: 'guarded',
    },
    {
      name: 'an unlabelled pod with an invalid quantity for the init container',
      pod: unlabelled({ annotations: { [key('init-cpu-limit')]: 'much' } }),
      reason: 'invalid_annotation',
    },
    { name: 'a Job pod without label and native sidecars', pod: unlabelled(job), settings: { mode: 'classic' }, reason: 'guarded' },
    { name: 'an unlabelled pod with user 25790', pod: unlabelled({ spec: { securityContext: { runAsUser: 25790 } } }), reason: 'guarded' },
    { name: 'an empty label', pod: rawPod({ labels: { aadpodidbinding: '' } }), reason: 'guarded_no_selector' },
    { name: 'a pod that opts out', pod: rawPod({ annotations: optOut }), reason: 'guarded_opted_out' },
    { name: 'inject "False"', pod: rawPod({ annotations: { [key('inject')]: 'False' } }), reason: 'invalid_annotation' },
    { name: 'a mirror pod', pod: unlabelled({ annotations: mirror }), reason: 'mirror_pod' },
    {
      name: 'an exception that is not listed',
      pod: rawPod({ labels: { app: 'mic' } }),
      exceptions: excepting,
      reason: 'guard_exception',
      detail: 'AzurePodIdentityException mic',
    },
    {
      name: 'an exception for an unlabelled pod',
      pod: unlabelled({ labels: { app: 'mic' } }),
      exceptions: excepting,
      reason: 'guard_exception',
    },
    { name: 'a listed exception', pod: rawPod({ labels: { app: 'x' } }), exceptions: [listed], reason: 'excepted', detail: 'listed' },
    {
      name: 'a listed exception after one that is not listed',
      pod: unlabelled({ labels: { app: 'mic', allowed: 'yes' } }),
      exceptions: [...excepting, listed],
      reason: 'excepted',
      detail: 'listed',
    },
    {
      name: 'a pod that opts out and matches a listed exception',
      pod: rawPod({ annotations: optOut, labels: { app: 'x' } }),
      exceptions: [listed],
      reason: 'guarded_opted_out',
    },
    { name: 'hostNetwork', pod: rawPod({ spec: { hostNetwork: true } }), reason: 'guard_host_network' },
    { name: 'hostNetwork that opts out', pod: rawPod({ annotations: optOut, spec: { hostNetwork: true } }), reason: 'guard_host_network' },
    {
      name: 'hostNetwork that is warned of',
      pod: unlabelled({ spec: { hostNetwork: true } }),
      settings: { guardHostNetwork: 'warn', hostNetwork: 'deny' },
      reason: 'host_network',
    },
    {
      name: 'labelled hostNetwork that the other setting denies',
      pod: rawPod({ spec: { hostNetwork: true } }),
      settings: { guardHostNetwork: 'warn', hostNetwork: 'deny' },
      reason: 'host_network_refused',
    },
    { name: 'hostPID', pod: unlabelled({ spec: { hostPID: true } }), reason: 'guard_host_pid' },
    {
      name: 'hostPID that is warned of',
      pod: rawPod({ spec: { hostPID: true } }),
      settings: { guardHostNetwork: 'warn' },
      reason: 'injected',
    },
    { name: 'a Windows pod', pod: unlabelled({ spec: { os: { name: 'windows' } } }), reason: 'guard_windows' },
    {
      name: 'a pod with windowsOptions',
      pod: unlabelled({ spec: { securityContext: { windowsOptions: {} } } }),
      reason: 'guard_windows',
    },
    {
      name: 'a pod with windowsOptions where Windows pods are warned of',
      pod: unlabelled({ spec: { securityContext: { windowsOptions: {} } } }),
      settings: { guardHostNetwork: 'warn' },
      reason: 'guarded',
    },
    {
      name: 'a Windows pod that is warned of',
      pod: unlabelled({ spec: { os: { name: 'windows' } } }),
      settings: { guardHostNetwork: 'warn' },
      reason: 'windows',
    },
    {
      name: 'Pod Security baseline',
      pod: unlabelled(),
      namespace: { podSecurity: 'baseline' },
      reason: 'guard_pod_security',
      detail: 'namespace team enforces pod security baseline, which refuses NET_ADMIN',
    },
    { name: 'Pod Security restricted', pod: rawPod(), namespace: { podSecurity: 'restricted' }, reason: 'guard_pod_security' },
    { name: 'Pod Security privileged', pod: unlabelled(), namespace: { podSecurity: 'privileged' }, reason: 'guarded' },
    { name: 'interception none', pod: rawPod(), ...inherit('none'), reason: 'guard_interception_none' },
    {
      name: 'a reserved container name',
      pod: unlabelled({ spec: { containers: [rawContainer('aad-pod-identity-init')] } }),
      reason: 'reserved_name',
    },
    ...[
      { privileged: true },
      ...['NET_ADMIN', 'net_admin', 'CAP_NET_ADMIN', 'NET_RAW', 'SYS_ADMIN', 'SYS_PTRACE', 'SYS_MODULE', 'ALL'].map((name) => ({
        capabilities: { add: [name] },
      })),
    ].map(
      (securityContext): Case => ({
        name: `a container with ${JSON.stringify(securityContext)}`,
        pod: unlabelled({ spec: { initContainers: [rawContainer('mesh', { securityContext })] } }),
        reason: 'guard_powerful_container',
        detail: 'spec.initContainers[mesh]',
      }),
    ),
  ] satisfies Case[]
).map(
  (one): Case => ({
    ...one,
    name: `${one.name} in a guarded namespace`,
    namespace: { ...guarded, ...('namespace' in one ? one.namespace : {}) },
  }),
);

const cases: Case[] = [
  { name: 'a labelled pod', pod: rawPod(), reason: 'injected' },
  { name: 'a pod with inject "true"', pod: rawPod({ annotations: { [key('inject')]: 'true' } }), reason: 'injected' },

  { name: 'a mirror pod that also opts out', pod: rawPod({ annotations: { ...mirror, ...optOut } }), reason: 'mirror_pod' },
  {
    name: 'an empty label, even with an invalid annotation',
    pod: rawPod({ labels: { aadpodidbinding: '' }, annotations: { [key('inject')]: 'yes' } }),
    reason: 'no_selector',
  },
  { name: 'a pod without labels', pod: { ...rawPod(), metadata: {} }, reason: 'no_selector' },
  { name: 'a pod with labels null', pod: { ...rawPod(), metadata: { labels: null, annotations: null } }, reason: 'no_selector' },

  {
    name: 'a pod that opts out and is excepted',
    pod: rawPod({ annotations: optOut, labels: { app: 'mic' } }),
    exceptions: excepting,
    reason: 'opted_out',
  },
  {
    name: 'inject "False"',
    pod: rawPod({ annotations: { [key('inject')]: 'False' } }),
    reason: 'invalid_annotation',
    detail: 'annotation aadpodidentity.k8s.io/inject is "False", accepted is true or false',
  },
  { name: 'an empty inject annotation', pod: rawPod({ annotations: { [key('inject')]: '' } }), reason: 'invalid_annotation' },

  {
    name: 'an exception with one matching label in another case',
    pod: rawPod({ labels: { app: 'mic' } }),
    exceptions: excepting,
    reason: 'excepted',
    detail: 'mic',
  },
  {
    name: 'an exception whose label key differs in case',
    pod: rawPod({ labels: { App: 'mic' } }),
    exceptions: excepting,
    reason: 'injected',
  },
  { name: 'an exception without labels', pod: rawPod(), exceptions: [{ name: 'e', podLabels: {} }], reason: 'injected' },
  {
    name: 'an excepted pod with hostNetwork',
    pod: rawPod({ labels: { app: 'mic' }, spec: { hostNetwork: true } }),
    exceptions: excepting,
    reason: 'excepted',
  },

  { name: 'os windows with hostNetwork', pod: rawPod({ spec: { os: { name: 'windows' }, hostNetwork: true } }), reason: 'windows' },
  { name: 'a Windows node selector', pod: rawPod({ spec: { nodeSelector: { 'kubernetes.io/os': 'windows' } } }), reason: 'windows' },
  {
    name: 'the beta Windows node selector',
    pod: rawPod({ spec: { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } } }),
    reason: 'windows',
  },
  {
    name: 'os and node selector linux',
    pod: rawPod({ spec: { os: { name: 'linux' }, nodeSelector: { 'kubernetes.io/os': 'linux' } } }),
    reason: 'injected',
  },

  {
    name: 'containers null',
    pod: rawPod({ spec: { containers: null } }),
    reason: 'no_containers',
    detail: 'spec.containers',
  },
  { name: 'an empty list of containers', pod: rawPod({ spec: { containers: [] } }), reason: 'no_containers' },

  {
    name: 'hostNetwork, before reserved ids',
    pod: rawPod({ spec: { hostNetwork: true, securityContext: { runAsUser: 25790 } } }),
    reason: 'host_network',
  },
  {
    name: 'hostNetwork when the setting denies it',
    pod: rawPod({ spec: { hostNetwork: true } }),
    settings: { hostNetwork: 'deny' },
    reason: 'host_network_refused',
  },
  { name: 'hostNetwork false', pod: rawPod({ spec: { hostNetwork: false } }), reason: 'injected' },

  ...(['containers', 'initContainers', 'ephemeralContainers'] as const).flatMap((field): Case[] => [
    {
      name: `a reserved name in ${field}`,
      pod: rawPod({ spec: { [field]: [rawContainer('aad-pod-identity-proxy')] } }),
      reason: 'reserved_name',
      detail: `spec.${field}[aad-pod-identity-proxy]`,
    },
    {
      name: `a mount of a volume that the webhook adds in ${field}`,
      pod: withContainer({ volumeMounts: [{ name: 'own' }, { name: 'aad-pod-identity-token', mountPath: '/t' }] }, field),
      reason: 'reserved_mount',
      detail: `spec.${field}[x].volumeMounts[aad-pod-identity-token]`,
    },
    {
      name: `the reserved user in ${field}`,
      pod: withContainer({ securityContext: { runAsUser: 25790 } }, field),
      reason: 'reserved_id',
      detail: `spec.${field}[x].securityContext.runAsUser`,
    },
    {
      name: `the reserved group in ${field}`,
      pod: withContainer({ securityContext: { runAsGroup: 25790 } }, field),
      reason: 'reserved_id',
    },
    {
      name: `the proxy's port in ${field}`,
      pod: withContainer({ ports: [{ containerPort: 80 }, { containerPort: 2579 }] }, field),
      reason: 'port_conflict',
      detail: `spec.${field}[x].ports`,
    },
  ]),
  {
    name: 'a reserved volume',
    pod: rawPod({ spec: { volumes: [{ name: 'aad-pod-identity-token' }] } }),
    reason: 'reserved_name',
    detail: 'spec.volumes[aad-pod-identity-token]',
  },
  {
    name: 'the reserved user in the pod security context',
    pod: context({ runAsUser: 25790 }),
    reason: 'reserved_id',
    detail: 'spec.securityContext.runAsUser',
  },
  { name: 'the reserved group in the pod security context', pod: context({ runAsGroup: 25790 }), reason: 'reserved_id' },
  { name: 'the reserved group as fsGroup', pod: context({ fsGroup: 25790 }), reason: 'reserved_id' },
  { name: 'the reserved group among supplemental ones', pod: context({ supplementalGroups: [1, 25790] }), reason: 'reserved_id' },
  { name: 'ids next to the reserved one', pod: context({ runAsUser: 25789, supplementalGroups: [25791] }), reason: 'injected' },
  { name: "UDP on the proxy's port", pod: withContainer({ ports: [{ containerPort: 2579, protocol: 'UDP' }] }), reason: 'injected' },
  { name: "the proxy's port as hostPort only", pod: withContainer({ ports: [{ containerPort: 80, hostPort: 2579 }] }), reason: 'injected' },

  { name: 'an invalid quantity', pod: rawPod({ annotations: { [key('proxy-cpu-request')]: 'much' } }), reason: 'invalid_annotation' },
  {
    name: 'an invalid quantity of the namespace',
    pod: rawPod(),
    namespace: { defaults: { [key('init-cpu-limit')]: 'much' } },
    reason: 'invalid_annotation',
    detail:
      'namespace team: annotation aadpodidentity.k8s.io/init-cpu-limit is "much", accepted is a positive quantity such as 20m, 0.1 or 64Mi',
  },
  { name: 'an invalid interception', pod: rawPod({ annotations: { [key('interception')]: 'None' } }), reason: 'invalid_annotation' },
  {
    name: 'an invalid interception of the namespace',
    pod: rawPod(),
    ...inherit('off'),
    reason: 'invalid_annotation',
    detail: 'namespace team: annotation aadpodidentity.k8s.io/interception is "off", accepted is redirect or none',
  },
  {
    name: 'a valid interception over an invalid one of the namespace',
    pod: rawPod({ annotations: { [key('interception')]: 'redirect' } }),
    ...inherit('off'),
    reason: 'injected',
  },

  { name: 'a Job pod with native sidecars', pod: rawPod(job), reason: 'injected' },
  { name: 'a Job pod without native sidecars', pod: rawPod(job), settings: { mode: 'classic' }, reason: 'job_without_native_sidecar' },
  {
    name: 'a Job of another API group without native sidecars',
    pod: rawPod({ metadata: { ownerReferences: [{ apiVersion: 'kubeflow.org/v1', kind: 'Job' }] } }),
    settings: { mode: 'classic' },
    reason: 'injected',
  },

  {
    name: 'an endpoint variable with interception none',
    pod: withContainer({ env: [{ name: 'MSI_SECRET', value: 'x' }] }),
    ...inherit('none'),
    reason: 'environment_conflict',
    detail: 'spec.containers[x].env[MSI_SECRET]',
  },
  {
    name: 'an endpoint variable with interception redirect',
    pod: withContainer({ env: [{ name: 'MSI_SECRET', value: 'x' }] }),
    reason: 'injected',
  },

  ...guardCases,
];

for (const { name, reason, detail, namespace, exceptions, settings, pod } of cases) {
  test(`decides ${reason} for ${name}`, () => {
    const outcome = decide({
      pod: parsePod(pod),
      namespace: { name: 'team', ...namespace },
      exceptions: exceptions ?? [],
      settings: { mode: 'native', hostNetwork: 'skip', guardHostNetwork: 'deny', ...settings },
    });
    assert.equal(outcome.reason, reason);
    assert.equal(outcome.decision, reasons[reason].decision);
    if (detail !== undefined) assert.equal('detail' in outcome ? outcome.detail : undefined, detail);
  });
}

test('reaches every reason of a decision in some case of this file', () => {
  assert.deepEqual(new Set(cases.map((one) => one.reason)), new Set(Object.keys(reasons)));
});
