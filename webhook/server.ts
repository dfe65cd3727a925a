// The admission endpoint. HTTP/1.1, since kube-apiserver speaks nothing else to webhooks of a cluster (docs/reference/kubernetes.md#calls-to-webhooks).
import type { Listener } from '../lib/http.ts';
import type { Logger } from '../lib/log.ts';
import type { ErrorResponse, TlsApp, TlsServer, TlsServerOptions } from '../lib/tls/server.ts';
import { clientErrorStatus, startTlsServer } from '../lib/tls/server.ts';
import type { Admission } from './injection/admit.ts';
import type { Metrics } from './metrics.ts';
import type { Review } from './review.ts';
import { parseReview, ReviewError, responseBody } from './review.ts';

const admissionPaths = [
  { path: '/mutate', guarded: false },
  // The webhook configuration sends the unlabelled pods of guarded namespaces here.
  { path: '/guard', guarded: true },
] as const;
/** kube-apiserver itself limits an object to 3 MB. */
const bodyLimit = 4 * 1024 * 1024;

/** The webhook cannot decide yet. */
export class NotReadyError extends Error {
  override readonly name = 'NotReadyError';
}

export interface AdmissionServerOptions extends Pick<TlsServerOptions, 'certificate' | 'limits'> {
  listen: Listener;
  log: Logger;
  metrics: Metrics;
  /** May throw {@link NotReadyError}. `budgetMs` is what is left of the API server's time-out. */
  admit(review: Review, budgetMs: number): Promise<Admission>;
}

/** Listens at once; without a certificate handshakes fail. */
export function startAdmissionServer(options: AdmissionServerOptions): Promise<TlsServer> {
  return startTlsServer({
    ...options,
    bodyLimit,
    routes(app) {
      for (const route of admissionPaths) addAdmissionRoute(app, route, options);
    },
    errorResponse: (error) => errorResponse(error, options),
    notFound: { status: 404, body: `POST ${admissionPaths.map(({ path }) => path).join(' and ')} are all there is\n` },
  });
}

function addAdmissionRoute(
  app: TlsApp,
  { path, guarded }: (typeof admissionPaths)[number],
  { admit, metrics, log }: AdmissionServerOptions,
): void {
  app.post(path, async (request, reply) => {
    const began = performance.now();
    const review = parseReview(request.body, { guarded });
    const { decision, reason, response } = await admit(review, budgetOf(request.query));
    const body = responseBody(review.uid, response);
    const seconds = (performance.now() - began) / 1000;
    metrics.admitted(decision, reason, seconds);
    await reply.type('application/json').send(body);
    // The API server does not wait for the line.
    const { uid, namespace, name, dryRun } = review;
    log.info(
      {
        uid,
        namespace,
        name,
        decision,
        reason,
        dryRun,
        operations: response.patch.length,
        ms: Math.round(seconds * 1e5) / 100,
      },
      'admission',
    );
    return reply;
  });
}

function errorResponse(error: unknown, { metrics, log }: AdmissionServerOptions): ErrorResponse {
  const { status, kind } = classify(error);
  metrics.failed(kind);
  const message = error instanceof Error ? error.message : String(error);
  if (kind === 'internal') log.error({ error: error instanceof Error ? error.stack : message }, 'admission failed');
  else log.warn({ status, error: message.slice(0, 300) }, 'admission request refused');
  return { status, body: `${kind === 'internal' ? 'internal error' : message}\n` };
}

type FailureKind = Parameters<Metrics['failed']>[0];

function classify(error: unknown): { status: number; kind: FailureKind } {
  if (error instanceof NotReadyError) return { status: 503, kind: 'not_ready' };
  if (error instanceof ReviewError) return { status: 400, kind: 'bad_request' };
  const status = clientErrorStatus(error);
  return status === undefined ? { status: 500, kind: 'internal' } : { status, kind: 'bad_request' };
}

/** The API server sends its time-out as `?timeout=5s`. */
function budgetOf(query: unknown): number {
  const text = typeof query === 'object' && query !== null && 'timeout' in query ? String(query.timeout) : '';
  const match = /^(?<amount>\d+(?:\.\d+)?)(?<unit>m?s)$/.exec(text);
  if (match?.groups === undefined) return 5_000;
  return Number(match.groups.amount) * (match.groups.unit === 's' ? 1000 : 1);
}
