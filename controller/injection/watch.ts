import type { Informers } from '../../lib/identities/informers.ts';
import { regardingPod } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { notInjectedText, uninjectedReason } from './state.ts';

/** Records an Event on each labelled pod that the webhook did not inject. The caches must have synced. Returns how to stop. */
export function watchInjection({ informers, events, log }: { informers: Informers; events: EventRecorder; log: Logger }): () => void {
  const recordIfMissed = (podKey: string): boolean => {
    const pod = informers.pods.get(podKey);
    if (pod === undefined || uninjectedReason(pod, informers.matches.isExcepted(pod)) !== 'not_injected') return false;
    events.record(regardingPod(pod), 'Warning', 'NotInjected', notInjectedText);
    return true;
  };
  const off = informers.matches.onChange(recordIfMissed);
  const missed = [...informers.pods.values()].filter((pod) => recordIfMissed(pod.key)).length;
  if (missed > 0) log.warn({ pods: missed }, 'labelled pods have no token proxy, see their Events');
  return off;
}
