// Which labelled pods are left as they are. One rule for the webhook, which reads a submitted pod, and for the controller, which looks for
// pods that should be injected and are not.
import type { ReasonFor } from '../../../api/decisions.ts';

/** Both a submitted pod ({@link PodView}) and a cached one (`Pod` of lib/identities/pod.ts) have these. */
export interface SkipFacts {
  /** Value of the binding label, empty where the pod has none. */
  readonly selector: string;
  /** The API server's copy of a static pod. */
  readonly mirror: boolean;
  /** Annotated `inject: "false"`. */
  readonly optedOut: boolean;
  readonly windows: boolean;
  readonly hostNetwork: boolean;
}

/** The first reason that applies; undefined for a pod that is to be injected. `excepted`: an AzurePodIdentityException matches. */
export function skipReason(pod: SkipFacts, excepted: boolean): ReasonFor<'skip'> | undefined {
  if (pod.mirror) return 'mirror_pod';
  if (pod.selector === '') return 'no_selector';
  if (pod.optedOut) return 'opted_out';
  if (excepted) return 'excepted';
  if (pod.windows) return 'windows';
  if (pod.hostNetwork) return 'host_network';
  return undefined;
}
