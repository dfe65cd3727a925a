import { setTimeout as delay } from 'node:timers/promises';

/** Checks until the condition holds; for state that no event reports. Rejects when the time is over, by default after 30 s. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  { seconds = 30, everyMs = 50 }: { seconds?: number; everyMs?: number } = {},
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
