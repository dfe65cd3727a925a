import type { Registry } from 'prom-client';
import { Gauge } from 'prom-client';
import { metricPrefix } from '../api/names.ts';
import type { Leadership } from '../lib/kube/lease.ts';
import type { World } from './assignment/world.ts';
import type { Broker } from './broker/server.ts';
import type { Published } from './certificates/published.ts';

/** Gauges that are read off the caches when somebody scrapes. */
export function metricsOf(
  registry: Registry,
  sources: { world: World; leadership: Leadership; broker: Broker; published: Published },
): void {
  const gauge = (name: string, help: string, read: (gauge: Gauge<string>) => void, labelNames: string[] = []) =>
    new Gauge({
      name: `${metricPrefix}${name}`,
      help,
      labelNames,
      registers: [registry],
      collect() {
        this.reset();
        read(this);
      },
    });

  gauge('leader', '1 where this replica leads', (leader) => leader.set(sources.leadership.leading ? 1 : 0));
  gauge(
    'assigned_identities',
    'AzureAssignedIdentity objects by status',
    (assigned) => {
      for (const { status } of sources.world.assignments.values()) assigned.inc({ status: status || 'none' });
    },
    ['status'],
  );
  gauge('broker_held_polls', 'sidecars that wait for a change', (held) => held.set(sources.broker.heldPolls));
  gauge('broker_certificate_expiry_seconds', 'end of the certificate that the broker serves, Unix time', (expiry) => {
    const { leafEnds } = sources.published;
    if (leafEnds !== undefined) expiry.set(leafEnds.getTime() / 1000);
  });
}
