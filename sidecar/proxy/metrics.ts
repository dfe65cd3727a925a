// The optional listener for monitoring: counters in Prometheus' text format, and whether the process responds. It serves no token and no identity.
import { metricPrefix } from '../../api/names.ts';
import { version } from '../../api/version.ts';
import type { TokenResult } from '../tokens/source.ts';
import type { Route } from './routes.ts';

export interface Metrics {
  /** Counts a response to an application. */
  countResponse(route: Route['kind'], status: number): void;
  /** Counts the result of a token's fetch. */
  countFetch(result: TokenResult): void;
  /** Text exposition format 0.0.4. */
  text(): string;
}

export interface MetricsSources {
  cachedTokens: () => number;
  /** Undefined until the broker has responded once. */
  brokerContactAgeMs: () => number | undefined;
}

/** Values of the label `route`. */
const routeLabels: Record<Route['kind'], string> = {
  token: 'token',
  pass: 'pass',
  post: 'pass',
  nonce: 'nonce',
  status: 'status',
  error: 'refusal',
};

export function createMetrics({ cachedTokens, brokerContactAgeMs }: MetricsSources): Metrics {
  const requests = new Map<string, number>();
  const fetches = new Map<string, number>();
  const count = (counts: Map<string, number>, labels: string) => counts.set(labels, (counts.get(labels) ?? 0) + 1);
  return {
    countResponse(route, status) {
      count(requests, `{route="${routeLabels[route]}",status="${status}"}`);
    },
    countFetch(result) {
      count(fetches, `{result="${'token' in result ? 'token' : result.error.code}"}`);
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

/** Every route of this listener. `/healthz` says that the process responds: an outage of the broker is no reason to restart it. */
export function respondToMonitoring({ method, url }: Pick<Request, 'method' | 'url'>, metrics: Metrics): Response {
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
