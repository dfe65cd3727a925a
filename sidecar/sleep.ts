import type { Clock } from '../common/clock.ts';
import type { Notifier } from './notifier.ts';

/** Resolves when the time is over, a notifier notifies or the signal aborts, whichever is first. Never rejects and leaves nothing behind. */
export function sleep(
  clock: Clock,
  ms: number,
  { notifiers = [], signal }: { notifiers?: readonly Notifier[]; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) return resolve();
    const cleanups: (() => void)[] = [];
    const wake = () => {
      for (const cleanup of cleanups) cleanup();
      resolve();
    };
    cleanups.push(clock.after(Math.max(0, ms), wake));
    for (const notifier of notifiers) cleanups.push(notifier.subscribe(wake));
    if (signal !== undefined) {
      signal.addEventListener('abort', wake, { once: true });
      cleanups.push(() => signal.removeEventListener('abort', wake));
    }
  });
}
