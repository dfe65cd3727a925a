import { setTimeout as delay } from 'node:timers/promises';

/** How long a test waits for what should come at once. Only a failure takes so long; a slow machine that runs several files needs a part of it. */
export const limitSeconds = 60;

/** Checks until the condition holds; for state that no event reports. Rejects when the time is over. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  { seconds = limitSeconds, everyMs = 50 }: { seconds?: number; everyMs?: number } = {},
): Promise<void> {
  for (const deadline = Date.now() + seconds * 1000; !(await condition()); await delay(everyMs)) {
    if (Date.now() > deadline) throw new Error(`not after ${seconds} s: ${what}`);
  }
}

/** Repeats a `kubectl wait --for=condition=Established` that rejects: it fails on a CRD so new that it has no conditions. */
export const untilEstablished = (wait: () => Promise<unknown>): Promise<void> =>
  eventually(
    () =>
      wait().then(
        () => true,
        () => false,
      ),
    'the CRDs are established',
  );
