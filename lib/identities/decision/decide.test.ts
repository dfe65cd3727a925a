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
];

for (const { name, reason, detail, namespace, exceptions, settings, pod } of cases) {
  test(`decides ${reason} for ${name}`, () => {
    const outcome = decide({
      pod: parsePod(pod),
      namespace: { name: 'team', ...namespace },
      exceptions: exceptions ?? [],
      settings: { mode: 'native', hostNetwork: 'skip', ...settings },
    });
    assert.equal(outcome.reason, reason);
    assert.equal(outcome.decision, reasons[reason].decision);
    if (detail !== undefined) assert.equal('detail' in outcome ? outcome.detail : undefined, detail);
  });
}

test('reaches every reason of a decision in some case of this file', () => {
  assert.deepEqual(new Set(cases.map((one) => one.reason)), new Set(Object.keys(reasons)));
});
