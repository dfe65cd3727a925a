import type { Registry } from 'prom-client';
import { Gauge } from 'prom-client';
import { metricPrefix } from '../../api/names.ts';
import { version } from '../../api/version.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { LeaderElection } from '../../lib/kube/leader-election.ts';
import type { Budget } from '../azure/arm/gates.ts';
import { countInjected, isOutdated, uninjectedReason } from '../injection/state.ts';
import type { WaitingTimes } from './waiting.ts';

export interface GaugeSources {
  informers: Informers;
  leadership: LeaderElection;
  waiting: WaitingTimes;
  /** By the budget that is used up: until when calls to Azure wait, milliseconds since the epoch. */
  throttledUntil(): ReadonlyMap<Budget, number>;
  /** Of the settings that the webhook injects by now; empty where nobody said it. */
  settingsHash: string;
}

/** Registers the gauges that are read at each scrape, most of them from the caches. */
export function registerGauges(registry: Registry, sources: GaugeSources): void {
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
    'oldest_waiting_assignment_seconds',
    'how long the oldest AzureAssignedIdentity waits to be Assigned, by its reason',
    (oldest) => {
      for (const [reason, seconds] of sources.waiting.oldest()) oldest.set({ reason }, seconds);
    },
    ['reason'],
  );
  gauge(
    'throttled_until_seconds',
    'Unix time until which calls to Azure wait, by the budget that Azure says is used up; absent while none is',
    (throttled) => {
      for (const [budget, until] of sources.throttledUntil()) throttled.set({ budget }, until / 1000);
    },
    ['budget'],
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
  gauge('running_injected_pods', 'running pods with token proxy', (running) => {
    let pods = 0;
    for (const pod of sources.informers.pods.values()) if (pod.injected && pod.running) pods += 1;
    running.set(pods);
  });
  gauge(
    'outdated_pods',
    'pods that another version injected, or other settings: made anew, they would get other containers',
    (outdated) => {
      const current = { version, settingsHash: sources.settingsHash };
      outdated.set([...sources.informers.pods.values()].filter((pod) => isOutdated(pod, current)).length);
    },
  );
}
