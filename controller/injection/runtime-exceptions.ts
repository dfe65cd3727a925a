// Records an Event where an AzurePodIdentityException opens IMDS to a pod that runs with a token proxy: on the pod and on the exception (leader only).
import type { Exception } from '../../lib/identities/exceptions.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import { regardingException, regardingPod } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';

interface Options {
  informers: Informers;
  events: EventRecorder<EventReason>;
}

/** The caches must have synced. Returns how to stop. */
export function watchRuntimeExceptions({ informers, events }: Options): () => void {
  /** Pods whose proxy passes through now, and the exception that makes it. */
  const widened = new Map<string, string>();
  const recordIfWidened = (podKey: string): void => {
    const pod = informers.pods.get(podKey);
    const exception = pod?.injected === true && !pod.finished ? informers.matches.exceptionOf(pod) : undefined;
    if (pod === undefined || exception === undefined) {
      widened.delete(podKey);
      return;
    }
    if (widened.get(podKey) === exception.key) return;
    widened.set(podKey, exception.key);
    events.record(regardingPod(pod), 'Warning', 'RuntimeException', podText(exception));
    // One pod stands for all: the recorder sends the same Event once in some minutes.
    events.record(regardingException(exception), 'Warning', 'RuntimeException', exceptionText(pod), 'matches running pods');
  };
  const off = informers.matches.onChange(recordIfWidened);
  for (const pod of informers.pods.values()) recordIfWidened(pod.key);
  return off;
}

const effect =
  'the token proxy passes its requests on to IMDS, which knows every identity of the node. Remove the exception to end this, or set the chart value runtimeExceptions=deny';

const podText = ({ name }: Exception): string =>
  `AzurePodIdentityException ${name} applies to this pod, which was injected before: ${effect}`;
const exceptionText = ({ name }: Pod): string =>
  `the exception applies to pods that were injected before, such as ${name}: there ${effect}`;
