import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Clock } from '../common/clock.ts';
import { systemClock } from '../common/clock.ts';
import { TokenBucket } from '../common/token-bucket.ts';
import type { Listener, SmallServer } from './http.ts';
import { serveSmall } from './http.ts';

/** A registry of its own, so that two programs or tests in one process do not share series. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

/** The text of a large cluster takes milliseconds to write, in the thread that renews the Lease. Whoever asks more often gets the last one. */
const textRate = { perSecond: 5, burst: 20 };

export function serveMetrics(listener: Listener, registry: Registry, clock: Clock = systemClock): Promise<SmallServer> {
  const mayWrite = new TokenBucket({ ...textRate, clock });
  let text: Promise<string> | undefined;
  return serveSmall(listener, {
    '/metrics': async () => {
      if (mayWrite.take() || text === undefined) text = registry.metrics();
      return { status: 200, body: await text, contentType: registry.contentType };
    },
  });
}
