import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import type { RawPod } from '../../lib/identities/decision/raw-pod.ts';
import { rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import type { AdmitInput } from '../injection/admit.ts';
import type { Template } from '../injection/containers.ts';
import type { LimitRange } from '../injection/limit-ranges.ts';
import { limitRangeOf, noLimits } from '../injection/limit-ranges.ts';

export const template: Template = {
  mode: 'native',
  settingsHash: '',
  image: 'sidecar:1',
  imagePullPolicy: 'IfNotPresent',
  logFormat: 'json',
  broker: {
    url: 'https://aad-pod-identity-broker.system.svc:9443',
    address: '10.96.7.7:9443',
    ca: '-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n',
  },
  proxy: { logLevel: 'info', metricsPort: 0, cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' },
  init: { cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' },
  blockWireServer: false,
  blockInstanceMetadata: false,
  allowEventApproval: false,
  iptables: 'nft',
  allowed: { images: ['mirror.test/*/sidecar:*'], variables: ['HTTP_PROXY', 'no_proxy'] },
};

interface LimitRangeItem {
  min?: Record<string, string>;
  max?: Record<string, string>;
  default?: Record<string, string>;
  maxLimitRequestRatio?: Record<string, string>;
}

export function limitRange(
  container: LimitRangeItem,
  { pod = {}, name = 'limits' }: { pod?: LimitRangeItem; name?: string } = {},
): LimitRange {
  const limits = [
    { type: 'Container', ...container },
    { type: 'Pod', ...pod },
  ];
  return limitRangeOf({ metadata: { namespace: 'team', name }, spec: { limits } });
}

export function admitInput({ pod = rawPod(), ...more }: Partial<Omit<AdmitInput, 'pod'>> & { pod?: RawPod } = {}): AdmitInput {
  return {
    pod: parsePod(pod),
    namespace: { name: 'team' },
    exceptions: [],
    settings: { hostNetwork: 'skip', guardHostNetwork: 'deny' },
    template,
    limits: noLimits,
    ...more,
  };
}
