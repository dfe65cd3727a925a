// POST /v1/report: IMDS disagrees with a row; the leader should look at that scope again.
import type { ReportRequest } from '../api/broker.ts';
import { stringAt } from '../lib/kube/objects.ts';
import type { BoundPod } from './bound-token.ts';
import { boundedCache } from './bounded-cache.ts';
import { Refusal } from './refusal.ts';
import type { PodView } from './view.ts';

export interface Report extends ReportRequest {
  podKey: string;
}

const reasons = ['identity_not_found', 'wrong_client_id'] as const satisfies readonly ReportRequest['reason'][];
const everyMs = 5 * 60_000;

/** Returns what accepts a report: at most one per identity and pod in 5 minutes, since each costs a read of Azure. Throws {@link Refusal}. */
export function reportDesk(options: { now: () => number; onReport(report: Report): void }) {
  const recent = boundedCache<number>(20_000, options.now);
  return (pod: BoundPod, rows: PodView, body: unknown): void => {
    const identity = identityIn(rows, body);
    const reason = reasons.find((known) => known === stringAt(body, 'reason'));
    if (reason === undefined) throw new Refusal('bad_request', `reason must be one of ${reasons.join(', ')}`);
    const requestId = stringAt(body, 'requestId');
    if (requestId === undefined || !/^[\x21-\x7e]{0,128}$/.test(requestId))
      throw new Refusal('bad_request', 'requestId must be a text of at most 128 printable characters');
    const key = `${pod.uid} ${identity}`;
    const until = recent.get(key);
    if (until !== undefined)
      throw new Refusal('throttled', `${identity} was reported a moment ago`, {
        retryAfterSeconds: Math.ceil((until - options.now()) / 1000),
      });
    recent.set(key, options.now() + everyMs, options.now() + everyMs);
    options.onReport({ podKey: `${pod.namespace}/${pod.name}`, identity, reason, requestId });
  };
}

/** `namespace/name` of the identity that a body names, if it is one of the pod's. Throws {@link Refusal}. */
export function identityIn(rows: PodView, body: unknown): string {
  const identity = stringAt(body, 'identity');
  if (identity === undefined) throw new Refusal('bad_request', 'identity must be the namespace/name of an AzureIdentity');
  if (!rows.identities.some((row) => `${row.namespace}/${row.name}` === identity))
    throw new Refusal('not_found', 'the identity is not bound to this pod');
  return identity;
}
