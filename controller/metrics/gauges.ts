import type { Registry } from 'prom-client';
import { Gauge } from 'prom-client';
import { metricPrefix } from '../../api/names.ts';
import { version } from '../../api/version.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { LeaderElection } from '../../lib/kube/leader-election.ts';
import { countInjected, uninjectedReason } from '../injection/state.ts';

/** Registers the gauges that are read from the caches at each scrape. */
export function registerGauges(registry: Registry, sources: { informers: Informers; leadership: LeaderElection }): void {
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
      for (const { status } of sources.informers.assignments.values()) assigned.inc({ status: status || 'none' });
    },
    ['status'],
  );
  gauge(
    'uninjected_pods',
    'labelled pods without token proxy by reason; not_injected means that the webhook was not asked',
    (uninjected) => {
      const { pods, matches } = sources.informers;
      for (const pod of pods.values()) {
        const reason = uninjectedReason(pod, matches.isExcepted(pod));
        if (reason !== undefined) uninjected.inc({ reason });
      }
    },
    ['reason'],
  );
  gauge(
    'injected_pods',
    'pods with token proxy by the version and template that injected them',
    (injected) => {
      for (const { pods, ...template } of countInjected(sources.informers.pods.values())) injected.set({ ...template }, pods);
    },
    ['version', 'template'],
  );
  gauge('outdated_pods', 'pods whose token proxy is of another version than this controller', (outdated) => {
    const counts = countInjected(sources.informers.pods.values()).filter((count) => count.version !== version);
    outdated.set(counts.reduce((sum, { pods }) => sum + pods, 0));
  });
}
