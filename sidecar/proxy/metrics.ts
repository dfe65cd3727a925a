// The optional listener for monitoring: counters in Prometheus text, and whether the process answers. It knows no token and no identity.
import { metricPrefix } from '../../api/names.ts';
import { version } from '../../api/version.ts';
import type { Outcome } from '../tokens/source.ts';
import type { Route } from './routes.ts';

export interface Metrics {
  /** An answer to an application. */
  answered(route: Route['kind'], status: number): void;
  /** How a fetch of a token ended. */
  fetched(outcome: Outcome): void;
  /** Text exposition format 0.0.4. */
  text(): string;
}

export interface MetricsSources {
  cachedTokens: () => number;
  /** Undefined until the broker has spoken once. */
  brokerContactAgeMs: () => number | undefined;
}

export function createMetrics({ cachedTokens, brokerContactAgeMs }: MetricsSources): Metrics {
  const requests = new Map<string, number>();
  const fetches = new Map<string, number>();
  const count = (counts: Map<string, number>, labels: string) => counts.set(labels, (counts.get(labels) ?? 0) + 1);
  return {
    answered(route, status) {
      count(requests, `{route="${route}",status="${status}"}`);
    },
    fetched(outcome) {
      count(fetches, `{result="${'token' in outcome ? 'token' : outcome.trouble.kind}"}`);
    },
    text() {
      const age = brokerContactAgeMs();
      return [
        family('requests_total', 'counter', 'Answers to applications.', requests),
        family('token_fetches_total', 'counter', 'Fetches of tokens by how they ended.', fetches),
        family('cached_tokens', 'gauge', 'Tokens that are kept or being fetched.', [['', cachedTokens()]]),
        family(
          'broker_contact_age_seconds',
          'gauge',
          'Since the broker last confirmed the identities of this pod; up to 130 while all is well.',
          age === undefined ? [] : [['', age / 1000]],
        ),
        family('build_info', 'gauge', 'Version of the sidecar.', [[`{version="${version}"}`, 1]]),
      ].join('');
    },
  };
}

function family(
  name: string,
  type: 'counter' | 'gauge',
  help: string,
  samples: Iterable<readonly [labels: string, value: number]>,
): string {
  const full = `${metricPrefix}sidecar_${name}`;
  const lines = [...samples].map(([labels, value]) => `${full}${labels} ${value}\n`);
  return `# HELP ${full} ${help}\n# TYPE ${full} ${type}\n${lines.join('')}`;
}

/** Everything that this listener serves. `/healthz` says that the process answers: what the broker does is no reason to restart it. */
export function answerMonitoring({ method, url }: Pick<Request, 'method' | 'url'>, metrics: Metrics): Response {
  if (method !== 'GET' && method !== 'HEAD')
    return new Response('only GET is served here\n', { status: 405, headers: { allow: 'GET, HEAD' } });
  switch (URL.parse(url)?.pathname) {
    case '/metrics':
      return new Response(metrics.text(), { headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8' } });
    case '/healthz':
      return new Response('ok\n');
    default:
      return new Response('this listener serves /metrics and /healthz\n', { status: 404 });
  }
}
