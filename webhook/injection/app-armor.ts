// A profile at the pod is the default of all its containers, the injected ones too: docs/reference/kubernetes.md#apparmor.
import { at, isRecord } from '../../common/records.ts';
import type { RawObject, RawPod } from '../../lib/identities/decision/raw-pod.ts';

/**
 * Our container with the default profile of the runtime where the pod has a profile of the node, which is made for the app and may refuse packet rules
 * or sockets. Without such a profile ours names none: kubelet refuses a named one on nodes without AppArmor.
 */
export function withRuntimeProfile(container: RawObject, { spec }: RawPod): RawObject {
  const { securityContext } = container;
  if (at(spec.securityContext, 'appArmorProfile', 'type') !== 'Localhost' || !isRecord(securityContext)) return container;
  return { ...container, securityContext: { ...securityContext, appArmorProfile: { type: 'RuntimeDefault' } } };
}
