import { apiGroup, apiVersion } from '../../api/names.ts';
import type { Regarding } from '../../lib/kube/events.ts';
import type { Binding, Identity, Pod } from './objects.ts';

const ours = (kind: string, object: Binding | Identity): Regarding => ({
  apiVersion: `${apiGroup}/${apiVersion}`,
  kind,
  namespace: object.namespace,
  name: object.name,
  uid: object.object.metadata.uid,
});

export const regardingBinding = (binding: Binding): Regarding => ours('AzureIdentityBinding', binding);
export const regardingIdentity = (identity: Identity): Regarding => ours('AzureIdentity', identity);
export const regardingPod = (pod: Pod): Regarding => ({
  apiVersion: 'v1',
  kind: 'Pod',
  namespace: pod.namespace,
  name: pod.name,
  uid: pod.uid,
});
