import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Listener, SmallServer } from './http.ts';
import { serveSmall } from './http.ts';

/** A registry of its own, so that two programs or tests in one process do not share series. */
export function createRegistry(): Registry {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  return registry;
}

export function serveMetrics(listener: Listener, registry: Registry): Promise<SmallServer> {
  return serveSmall(listener, {
    '/metrics': async () => ({ status: 200, body: await registry.metrics(), contentType: registry.contentType }),
  });
}
