import type { Registry } from 'prom-client';
import { Counter, Gauge, Histogram } from 'prom-client';
import type { Decision, ReasonCode } from '../api/decisions.ts';
import { metricPrefix } from '../api/names.ts';

export interface Metrics {
  admitted(decision: Decision, reason: ReasonCode, seconds: number): void;
  /** A request that got an error instead of a decision. */
  failed(kind: 'bad_request' | 'not_ready' | 'internal'): void;
}

/** `sources` are called at each scrape. No label names a pod or a namespace: there may be thousands. */
export function createMetrics(registry: Registry, sources: { notAfter(): Date | undefined; ready(): boolean }): Metrics {
  const registers = [registry];
  const name = (rest: string) => `${metricPrefix}webhook_${rest}`;
  const admissions = new Counter({
    name: name('admissions_total'),
    help: 'Answered admissions by decision and reason',
    labelNames: ['decision', 'reason'],
    registers,
  });
  const failures = new Counter({
    name: name('failures_total'),
    help: 'Admission requests that got an error instead of a decision',
    labelNames: ['kind'],
    registers,
  });
  const duration = new Histogram({
    name: name('admission_duration_seconds'),
    help: 'Time from the parsed request to the answer',
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  new Gauge({
    name: name('certificate_expiry_seconds'),
    help: 'Unix time at which the serving certificate ends, 0 without one',
    registers,
    collect() {
      this.set((sources.notAfter()?.getTime() ?? 0) / 1000);
    },
  });
  new Gauge({
    name: name('ready'),
    help: 'Whether this replica is ready',
    registers,
    collect() {
      this.set(sources.ready() ? 1 : 0);
    },
  });
  return {
    admitted(decision, reason, seconds) {
      admissions.inc({ decision, reason });
      duration.observe(seconds);
    },
    failed: (kind) => failures.inc({ kind }),
  };
}
