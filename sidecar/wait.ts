// `wait`: the start gate of the pod. Ends as soon as the proxy listens, whatever the broker does (design 4).

import type { Clock } from '../common/clock.ts';
import { noncePath } from './init/selftest.ts';
import { pause } from './time.ts';

/** False when the proxy did not answer in time. */
export async function waitForProxy(options: {
  listen: string;
  timeoutMs: number;
  fetch: (url: string, options: { signal: AbortSignal }) => Promise<Response>;
  clock: Clock;
}): Promise<boolean> {
  const { clock } = options;
  const end = clock.now() + options.timeoutMs;
  for (let delay = 5; ; delay = Math.min(200, delay * 2)) {
    const left = end - clock.now();
    if (left <= 0) return false;
    try {
      const answer = await options.fetch(`http://${options.listen}${noncePath}`, { signal: AbortSignal.timeout(Math.min(left, 1000)) });
      if (answer.ok) return true;
    } catch {
      // Not there yet.
    }
    await pause(clock, Math.min(delay, left));
  }
}
