import { apiGroup, apiVersion } from '../../api/names.ts';
import type { Regarding } from '../kube/events.ts';
import type { Assignment } from './assignment.ts';
import type { Binding } from './binding.ts';
import type { Exception } from './exceptions.ts';
import type { Identity } from './identity.ts';
import type { Pod } from './pod.ts';

const ours = (kind: string, object: Binding | Identity): Regarding => ({
  apiVersion: `${apiGroup}/${apiVersion}`,
  kind,
  namespace: object.namespace,
  name: object.name,
  uid: object.object.metadata.uid,
});

export const regardingBinding = (binding: Binding): Regarding => ours('AzureIdentityBinding', binding);
export const regardingIdentity = (identity: Identity): Regarding => ours('AzureIdentity', identity);
export const regardingException = ({ namespace, name, uid }: Exception): Regarding => ({
  apiVersion: `${apiGroup}/${apiVersion}`,
  kind: 'AzurePodIdentityException',
  namespace,
  name,
  uid,
});
export const regardingPod = (pod: Pod): Regarding => ({
  apiVersion: 'v1',
  kind: 'Pod',
  namespace: pod.namespace,
  name: pod.name,
  uid: pod.uid,
});
export const regardingAssignment = ({ namespace, name, metadata }: Assignment): Regarding => ({
  apiVersion: `${apiGroup}/${apiVersion}`,
  kind: 'AzureAssignedIdentity',
  namespace,
  name,
  uid: metadata.uid,
});
/** The binding that led to the object. It may be gone by now. */
export function regardingBindingOf({ bindingKey, references }: Assignment): Regarding {
  const [namespace = '', name = ''] = bindingKey.split('/');
  const uid = references.binding?.metadata.uid;
  return { apiVersion: `${apiGroup}/${apiVersion}`, kind: 'AzureIdentityBinding', namespace, name, uid };
}
