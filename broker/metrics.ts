// Metrics of the broker. Those of token requests keep the names of aad-pod-identity, so that dashboards go on.
import type { Registry } from 'prom-client';
import { Counter, Gauge, Histogram } from 'prom-client';
import { metricPrefix } from '../api/names.ts';
import { aadstsMeanings } from '../lib/azure/auth/aadsts.ts';
import type { ReportedCounts, Reporter } from './counts.ts';
import type { FederationMetrics } from './federation/minter.ts';
import type { BrokerLimit } from './limits.ts';

/** The functions are called when the metrics are read. */
export interface MetricSources {
  heldPolls(): number;
  connectedSidecars(): number;
  /** End of the serving certificate. */
  certificateExpiry(): Date | undefined;
}

export interface Metrics {
  /** Counts the calls of a function that makes tokens: a success with its duration, a failure as such. */
  countTokens<A extends unknown[], R>(mint: (...args: A) => Promise<R>): (...args: A) => Promise<R>;
  countRefusal(limit: BrokerLimit): void;
  countReported(reporter: Reporter, counts: ReportedCounts): void;
  federation: FederationMetrics;
}

/** aad-pod-identity's label for tokens of service principals. */
const servicePrincipal = { operation_type: 'adal_token' };
const buckets = [0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 2, 3, 4, 5, 10];

export function createMetrics(registry: Registry, sources: MetricSources): Metrics {
  const registers = [registry];
  const labelNames = ['operation_type'] as const;
  new Gauge({
    name: `${metricPrefix}broker_held_polls`,
    help: 'polls of sidecars that wait for a change',
    registers,
    collect() {
      this.set(sources.heldPolls());
    },
  });
  new Gauge({
    name: `${metricPrefix}broker_connected_sidecars`,
    help: 'pods whose sidecar polls this replica',
    registers,
    collect() {
      this.set(sources.connectedSidecars());
    },
  });
  new Gauge({
    name: `${metricPrefix}broker_certificate_expiry_seconds`,
    help: 'end of the certificate that the broker serves, Unix time',
    registers,
    collect() {
      this.reset();
      const expiry = sources.certificateExpiry();
      if (expiry !== undefined) this.set(expiry.getTime() / 1000);
    },
  });
  const refusals = new Counter({
    name: `${metricPrefix}broker_limited_total`,
    help: 'connections, polls and requests that a limit of the broker refused or ended',
    labelNames: ['limit'] as const,
    registers,
  });
  const seconds = new Histogram({
    name: `${metricPrefix}imds_operations_duration_seconds`,
    help: 'duration of token requests to Entra that succeeded',
    labelNames,
    buckets,
    registers,
  });
  const errors = new Counter({
    name: `${metricPrefix}imds_operations_errors_count`,
    help: 'token requests to Entra that failed',
    labelNames,
    registers,
  });
  const tokens = new Counter({
    name: `${metricPrefix}broker_federated_tokens_total`,
    help: 'tokens of federated identities that pods got, new ones of Entra or those of the cache',
    labelNames: ['source'] as const,
    registers,
  });
  const exchanges = new Counter({
    name: `${metricPrefix}broker_exchanges_total`,
    help: "exchanges of the broker's own token at Entra by their result: token, the AADSTS number of the error, or other",
    labelNames: ['result'] as const,
    registers,
  });
  const countReported = createReported(registry);
  return {
    countReported,
    federation: {
      countToken: (source) => tokens.inc({ source }),
      countExchange: (result) => exchanges.inc({ result: labelOf(result) }),
    },
    countRefusal: (limit) => refusals.inc({ limit }),
    countTokens(mint) {
      return async (...args) => {
        const finish = seconds.startTimer(servicePrincipal);
        try {
          const token = await mint(...args);
          finish();
          return token;
        } catch (error) {
          errors.inc(servicePrincipal);
          throw error;
        }
      };
    },
  };
}

/** Numbers without an entry in the table are one value: there are thousands. */
function labelOf(result: 'token' | number | undefined): string {
  if (result === 'token') return result;
  return result !== undefined && aadstsMeanings.has(result) ? String(result) : 'other';
}

/** Sums of what sidecars and node endpoints report: no pod has to be scraped. */
function createReported(registry: Registry): Metrics['countReported'] {
  const registers = [registry];
  const requests = new Counter({
    name: `${metricPrefix}reported_token_requests_total`,
    help: 'token requests of applications, as sidecars and node endpoints report them: token, refused (4xx), throttled (429) or unavailable (5xx)',
    labelNames: ['reporter', 'result'] as const,
    registers,
  });
  const slow = new Counter({
    name: `${metricPrefix}reported_slow_token_requests_total`,
    help: 'token requests of applications that took a second or more, as sidecars and node endpoints report them',
    labelNames: ['reporter'] as const,
    registers,
  });
  const failures = new Counter({
    name: `${metricPrefix}reported_broker_failures_total`,
    help: 'requests to the broker without a response, as sidecars and node endpoints report them once the broker responds again',
    labelNames: ['reporter'] as const,
    registers,
  });
  return (reporter, counts) => {
    for (const [name, count] of counts) {
      if (name === 'slow') slow.inc({ reporter }, count);
      else if (name === 'broker_failures') failures.inc({ reporter }, count);
      else requests.inc({ reporter, result: name }, count);
    }
  };
}
