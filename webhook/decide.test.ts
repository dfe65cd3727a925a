import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ReasonCode } from '../api/reasons.ts';
import { reasons } from '../api/reasons.ts';
import type { PodException } from '../lib/identities/exceptions.ts';
import type { DecideSettings, NamespaceFacts, Verdict } from './decide.ts';
import { decide } from './decide.ts';
import { container, pod } from './fixtures.ts';
import type { Pod } from './pod.ts';

const key = (name: string) => `aadpodidentity.k8s.io/${name}`;
const mirror = { 'kubernetes.io/config.mirror': 'x' };
const optOut = { [key('inject')]: 'false' };
const excepting: PodException[] = [{ name: 'mic', podLabels: { app: 'MIC', other: 'x' } }];

interface Case {
  name: string;
  pod: Pod;
  reason: ReasonCode;
  detail?: string;
  namespace?: Partial<NamespaceFacts>;
  exceptions?: PodException[];
  settings?: Partial<DecideSettings>;
}

const inherit = (interception: string) => ({ namespace: { interception } });
const context = (securityContext: object) => pod({ spec: { securityContext } });
const withContainer = (more: object, field = 'containers') => pod({ spec: { [field]: [container('x', { ...more })] } });
const job = { metadata: { ownerReferences: [{ apiVersion: 'batch/v1', kind: 'Job', name: 'j' }] } };

const cases: Case[] = [
  { name: 'a labelled pod', pod: pod(), reason: 'injected' },
  { name: 'asked for by annotation', pod: pod({ annotations: { [key('inject')]: 'true' } }), reason: 'injected' },

  { name: 'a mirror pod, whatever else it is', pod: pod({ annotations: { ...mirror, ...optOut } }), reason: 'mirror_pod' },
  { name: 'an empty label', pod: pod({ labels: { aadpodidbinding: '' }, annotations: { [key('inject')]: 'yes' } }), reason: 'no_selector' },
  { name: 'no label', pod: { ...pod(), metadata: {} }, reason: 'no_selector' },
  { name: 'labels null', pod: { ...pod(), metadata: { labels: null, annotations: null } }, reason: 'no_selector' },

  {
    name: 'opted out, even when excepted',
    pod: pod({ annotations: optOut, labels: { app: 'mic' } }),
    exceptions: excepting,
    reason: 'opted_out',
  },
  {
    name: 'inject in another case',
    pod: pod({ annotations: { [key('inject')]: 'False' } }),
    reason: 'invalid_annotation',
    detail: 'annotation aadpodidentity.k8s.io/inject is "False", accepted is true or false',
  },
  { name: 'inject empty', pod: pod({ annotations: { [key('inject')]: '' } }), reason: 'invalid_annotation' },

  {
    name: 'excepted by one label of several, value in another case',
    pod: pod({ labels: { app: 'mic' } }),
    exceptions: excepting,
    reason: 'excepted',
    detail: 'mic',
  },
  { name: 'the exception key in another case', pod: pod({ labels: { App: 'mic' } }), exceptions: excepting, reason: 'injected' },
  { name: 'an exception without labels', pod: pod(), exceptions: [{ name: 'e', podLabels: {} }], reason: 'injected' },
  {
    name: 'excepted before hostNetwork',
    pod: pod({ labels: { app: 'mic' }, spec: { hostNetwork: true } }),
    exceptions: excepting,
    reason: 'excepted',
  },

  { name: 'Windows by os', pod: pod({ spec: { os: { name: 'windows' }, hostNetwork: true } }), reason: 'windows' },
  { name: 'Windows by node selector', pod: pod({ spec: { nodeSelector: { 'kubernetes.io/os': 'windows' } } }), reason: 'windows' },
  {
    name: 'Windows by the old node selector',
    pod: pod({ spec: { nodeSelector: { 'beta.kubernetes.io/os': 'windows' } } }),
    reason: 'windows',
  },
  { name: 'Linux said', pod: pod({ spec: { os: { name: 'linux' }, nodeSelector: { 'kubernetes.io/os': 'linux' } } }), reason: 'injected' },

  {
    name: 'no containers, as the API server sends what a user forgot',
    pod: pod({ spec: { containers: null } }),
    reason: 'no_containers',
    detail: 'spec.containers',
  },
  { name: 'an empty list of containers', pod: pod({ spec: { containers: [] } }), reason: 'no_containers' },

  { name: 'hostNetwork', pod: pod({ spec: { hostNetwork: true, securityContext: { runAsUser: 25790 } } }), reason: 'host_network' },
  {
    name: 'hostNetwork where it is refused',
    pod: pod({ spec: { hostNetwork: true } }),
    settings: { hostNetwork: 'deny' },
    reason: 'host_network_refused',
  },
  { name: 'hostNetwork false', pod: pod({ spec: { hostNetwork: false } }), reason: 'injected' },

  ...(['containers', 'initContainers', 'ephemeralContainers'] as const).flatMap((field): Case[] => [
    {
      name: `a reserved name in ${field}`,
      pod: pod({ spec: { [field]: [container('aad-pod-identity-proxy')] } }),
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
    pod: pod({ spec: { volumes: [{ name: 'aad-pod-identity-token' }] } }),
    reason: 'reserved_name',
    detail: 'spec.volumes[aad-pod-identity-token]',
  },
  {
    name: 'the reserved user for the pod',
    pod: context({ runAsUser: 25790 }),
    reason: 'reserved_id',
    detail: 'spec.securityContext.runAsUser',
  },
  { name: 'the reserved group for the pod', pod: context({ runAsGroup: 25790 }), reason: 'reserved_id' },
  { name: 'the reserved group as fsGroup', pod: context({ fsGroup: 25790 }), reason: 'reserved_id' },
  { name: 'the reserved group among supplemental ones', pod: context({ supplementalGroups: [1, 25790] }), reason: 'reserved_id' },
  { name: 'ids beside the reserved one', pod: context({ runAsUser: 25789, supplementalGroups: [25791] }), reason: 'injected' },
  { name: 'UDP on the port', pod: withContainer({ ports: [{ containerPort: 2579, protocol: 'UDP' }] }), reason: 'injected' },
  { name: 'the port on the host only', pod: withContainer({ ports: [{ containerPort: 80, hostPort: 2579 }] }), reason: 'injected' },

  { name: 'a bad quantity', pod: pod({ annotations: { [key('proxy-cpu-request')]: 'much' } }), reason: 'invalid_annotation' },
  { name: 'a bad interception', pod: pod({ annotations: { [key('interception')]: 'None' } }), reason: 'invalid_annotation' },
  {
    name: 'a bad interception of the namespace',
    pod: pod(),
    ...inherit('off'),
    reason: 'invalid_annotation',
    detail: 'namespace team: annotation aadpodidentity.k8s.io/interception is "off", accepted is redirect or none',
  },
  {
    name: 'the pod corrects its namespace',
    pod: pod({ annotations: { [key('interception')]: 'redirect' } }),
    ...inherit('off'),
    reason: 'injected',
  },

  { name: 'a Job with native sidecars', pod: pod(job), reason: 'injected' },
  { name: 'a Job without', pod: pod(job), settings: { mode: 'classic' }, reason: 'job_without_native_sidecar' },
  {
    name: 'a Job of another group',
    pod: pod({ metadata: { ownerReferences: [{ apiVersion: 'kubeflow.org/v1', kind: 'Job' }] } }),
    settings: { mode: 'classic' },
    reason: 'injected',
  },

  {
    name: 'a competing variable without redirect',
    pod: withContainer({ env: [{ name: 'MSI_SECRET', value: 'x' }] }),
    ...inherit('none'),
    reason: 'environment_conflict',
    detail: 'spec.containers[x].env[MSI_SECRET]',
  },
  { name: 'the same with redirect', pod: withContainer({ env: [{ name: 'MSI_SECRET', value: 'x' }] }), reason: 'injected' },
];

for (const { name, reason, detail, namespace, exceptions, settings, ...given } of cases) {
  test(`decide: ${name} -> ${reason}`, () => {
    const verdict = decide(given.pod, { name: 'team', ...namespace }, exceptions ?? [], {
      mode: 'native',
      hostNetwork: 'skip',
      ...settings,
    });
    assert.equal(verdict.reason, reason);
    assert.equal(verdict.decision, reasons[reason].decision);
    if (detail !== undefined) assert.equal((verdict as Extract<Verdict, { detail?: string }>).detail, detail);
  });
}

test('decide: every reason is reached by a case above', () => {
  assert.deepEqual(new Set(cases.map((one) => one.reason)), new Set(Object.keys(reasons)));
});
