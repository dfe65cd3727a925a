// `wait`: the start gate of a pod. It ends as soon as the proxy listens, whether or not the broker can be reached
// (docs/adr/0003-native-sidecar-and-start-gate.md).
import type { Clock } from '../common/clock.ts';
import { sleep } from '../common/sleep.ts';
import { noncePath } from './nonce.ts';

export interface WaitOptions {
  /** `host:port` of the proxy. */
  address: string;
  timeoutMs: number;
  fetch: (url: string, options: { signal: AbortSignal }) => Promise<Response>;
  clock: Clock;
}

/** False when the proxy does not listen in time. */
export async function waitForProxy({ address, timeoutMs, fetch, clock }: WaitOptions): Promise<boolean> {
  const deadline = clock.now() + timeoutMs;
  for (let delay = 5; ; delay = Math.min(200, delay * 2)) {
    const left = deadline - clock.now();
    if (left <= 0) return false;
    try {
      const response = await fetch(`http://${address}${noncePath}`, { signal: AbortSignal.timeout(Math.min(left, 1000)) });
      if (response.ok) return true;
    } catch {
      // Nothing listens yet.
    }
    await sleep(clock, Math.min(delay, left));
  }
}
