// Finds labelled pods that went past the webhook and tells them (leader only).
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { regardingPod } from '../assignment/events.ts';
import type { World } from '../assignment/world.ts';
import { notInjectedText, uninjectedReason } from './state.ts';

/** The caches must have synced. Returns how to stop. */
export function watchInjection({ world, events, log }: { world: World; events: EventRecorder; log: Logger }): () => void {
  const isMissed = (podKey: string): boolean => {
    const pod = world.pods.get(podKey);
    if (pod === undefined || uninjectedReason(pod, world.matches.exceptedNow(pod)) !== 'not_injected') return false;
    events.record(regardingPod(pod), 'Warning', 'NotInjected', notInjectedText);
    return true;
  };
  const off = world.matches.onPod(isMissed);
  const missed = [...world.pods.values()].filter((pod) => isMissed(pod.key)).length;
  if (missed > 0) log.warn({ pods: missed }, 'labelled pods have no token proxy: their Events tell what to do');
  return off;
}
