// Pods as the API server sends them to an admission webhook.
import type { RawObject, RawPod, StringMap } from '../raw-pod.ts';

export function rawContainer(name: string, more: RawObject = {}): RawObject {
  return { name, image: `${name}:1`, resources: {}, terminationMessagePath: '/dev/termination-log', ...more };
}

/** A labelled pod with one container and the volume that the ServiceAccount plugin adds. */
export function rawPod(parts: { metadata?: RawObject; labels?: StringMap; annotations?: StringMap; spec?: RawObject } = {}): RawPod {
  const { metadata, labels, annotations, spec } = parts;
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
      containers: [rawContainer('app')],
      volumes: [{ name: 'kube-api-access-x', projected: { sources: [] } }],
      restartPolicy: 'Always',
      ...spec,
    },
    status: {},
  };
}
