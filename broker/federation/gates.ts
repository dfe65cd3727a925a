// Pauses towards Entra. 429 is about a tenant, and 50196 (a client that loops) about one client of it: an author who makes one identity loop must not
// stop the others of the tenant.
import type { Clock } from '../../common/clock.ts';
import { createTtlCache } from '../ttl-cache.ts';

interface Client {
  tenantId: string;
  clientId: string;
}

export interface EntraGates {
  /** Seconds until the client may ask again; undefined where it may. */
  closedFor(client: Client): number | undefined;
  closeTenant(client: Client, seconds: number | undefined): void;
  closeClient(client: Client, seconds: number | undefined): void;
}

const defaultSeconds = 30;
/** Whatever Entra says: a wrong header must not stop a cluster for a day. */
const maxSeconds = 300;
const remembered = 2_000;

export function createEntraGates(clock: Clock): EntraGates {
  const closed = createTtlCache<{ until: number }>(remembered, clock);
  const ofTenant = ({ tenantId }: Client) => tenantId.toLowerCase();
  const ofClient = ({ tenantId, clientId }: Client) => `${tenantId} ${clientId}`.toLowerCase();
  const close = (key: string, seconds = defaultSeconds) => {
    const ms = Math.min(maxSeconds, Math.max(1, seconds)) * 1000;
    closed.set(key, { until: clock.now() + ms }, ms);
  };
  return {
    closedFor(client) {
      const until = Math.max(...[ofTenant(client), ofClient(client)].map((key) => closed.get(key)?.until ?? 0));
      const left = until - clock.now();
      return left > 0 ? Math.ceil(left / 1000) : undefined;
    },
    closeTenant: (client, seconds) => close(ofTenant(client), seconds),
    closeClient: (client, seconds) => close(ofClient(client), seconds),
  };
}
