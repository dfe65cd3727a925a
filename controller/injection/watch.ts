// Records an Event on each labelled pod that nobody injected, and on each with an identity that an exception keeps from its token proxy (leader only).

import type { Informers } from '../../lib/identities/informers.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { EventReason } from '../../lib/identities/reasons.ts';
import { regardingPod } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { exceptedText, notInjectedText, uninjectedReason } from './state.ts';

interface Options {
  informers: Informers;
  events: EventRecorder<EventReason>;
  log: Logger;
  settings: { assignUninjected: boolean };
}

/** The caches must have synced. Returns how to stop. */
export function watchInjection({ informers, events, log, settings }: Options): () => void {
  const { matches } = informers;
  /** Without an identity that it could have had, the exception changes nothing for the pod. */
  const recordIfBound = (pod: Pod): void => {
    const exception = matches.exceptionOf(pod);
    const [bound] = matches.matchesOf(pod);
    if (exception === undefined || bound === undefined) return;
    events.record(regardingPod(pod), 'Warning', 'Excepted', exceptedText(exception.name, bound.identity.key), exception.key);
  };
  const recordIfMissed = (podKey: string): boolean => {
    const pod = informers.pods.get(podKey);
    if (pod === undefined) return false;
    const reason = uninjectedReason(pod, matches.isExcepted(pod));
    if (reason === 'excepted') recordIfBound(pod);
    if (reason !== 'not_injected' && reason !== 'excluded_namespace') return false;
    const isAssigned = settings.assignUninjected || informers.assignmentsOf(podKey).length > 0;
    // The identities may change, the Event stays the same.
    events.record(regardingPod(pod), 'Warning', 'NotInjected', notInjectedText({ pod, reason, isAssigned }), reason);
    return true;
  };
  const off = matches.onChange(recordIfMissed);
  const missed = [...informers.pods.values()].filter((pod) => recordIfMissed(pod.key)).length;
  if (missed > 0) log.warn({ pods: missed }, 'labelled pods have no token proxy, see their Events');
  return off;
}
