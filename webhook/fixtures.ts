// For tests only: a template and pods as the API server sends them.
import type { AdmitInput } from './admit.ts';
import type { Template } from './containers.ts';
import type { Pod, RawObject } from './pod.ts';

export const template: Template = {
  mode: 'native',
  image: 'sidecar:1',
  imagePullPolicy: 'IfNotPresent',
  broker: {
    url: 'https://aad-pod-identity-broker.system.svc:9443',
    address: '10.96.7.7:9443',
    ca: '-----BEGIN CERTIFICATE-----\nQ0E=\n-----END CERTIFICATE-----\n',
  },
  proxy: { logLevel: 'info', cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' },
  init: { cpuRequest: '10m', cpuLimit: '', memoryRequest: '16Mi', memoryLimit: '64Mi' },
  blockWireServer: false,
  blockInstanceMetadata: false,
  iptables: 'nft',
};

export function container(name: string, more: RawObject = {}): RawObject {
  return { name, image: `${name}:1`, resources: {}, terminationMessagePath: '/dev/termination-log', ...more };
}

interface PodParts {
  metadata?: RawObject;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  spec?: RawObject;
}

/** A labelled pod with one container and what the ServiceAccount plugin adds. */
export function pod({ metadata, labels, annotations, spec }: PodParts = {}): Pod {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: 'app',
      namespace: 'team',
      creationTimestamp: null,
      ...metadata,
      labels: { aadpodidbinding: 'reader', ...labels },
      ...(annotations === undefined ? {} : { annotations }),
    },
    spec: {
      containers: [container('app')],
      volumes: [{ name: 'kube-api-access-x', projected: { sources: [] } }],
      restartPolicy: 'Always',
      ...spec,
    },
    status: {},
  };
}

export function input(more: Partial<AdmitInput> = {}): AdmitInput {
  return { pod: pod(), namespace: { name: 'team' }, exceptions: [], settings: { hostNetwork: 'skip' }, template, ...more };
}
