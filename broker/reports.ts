// POST /v1/report: IMDS contradicts a row, so the leader should compare that scale set or VM with Azure.
import type { IdentityRow, ReportRequest } from '../api/broker.ts';
import { annotations } from '../api/names.ts';
import type { Clock } from '../common/clock.ts';
import { reportImdsMismatch } from '../lib/identities/imds-report.ts';
import type { IdentityInformers } from '../lib/identities/informers.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';
import { limitEach } from '../lib/rate-limiters.ts';
import type { BoundPod } from './bound-token.ts';
import { BrokerError } from './error.ts';
import type { PodRows } from './rows.ts';
import { createTtlCache } from './ttl-cache.ts';

export interface Report extends ReportRequest {
  podKey: string;
}

const reasons = ['identity_not_found', 'wrong_client_id'] as const satisfies readonly ReportRequest['reason'][];
const intervalMs = 5 * 60_000;
/** Of one namespace, since a tenant can make many pods. One report has the whole scale set or VM compared. */
const namespaceRate = { perSecond: 1, burst: 30 };

/** Parses and limits reports. Throws {@link BrokerError}, also for a second report of an identity and pod in 5 minutes, since each costs a read of Azure. */
export type AcceptReport = (pod: BoundPod, rows: PodRows, body: unknown) => Report;

export function createReportAcceptor(clock: Clock): AcceptReport {
  const recent = createTtlCache<{ until: number }>(20_000, clock);
  const mayReport = limitEach({ ...namespaceRate, keys: 5_000, clock });
  return (pod, rows, body) => {
    const row = identityIn(rows, body);
    const identity = `${row.namespace}/${row.name}`;
    const reason = reasons.find((known) => known === stringAt(body, 'reason'));
    if (reason === undefined) throw new BrokerError('bad_request', `reason must be one of ${reasons.join(', ')}`);
    const requestId = stringAt(body, 'requestId');
    if (requestId === undefined || !/^[\x21-\x7e]{0,128}$/.test(requestId))
      throw new BrokerError('bad_request', 'requestId must be a text of at most 128 printable characters');
    const key = `${pod.uid} ${identity}`;
    const last = recent.get(key);
    if (last !== undefined) {
      const retryAfterSeconds = Math.ceil((last.until - clock.now()) / 1000);
      throw new BrokerError('throttled', `${identity} was reported a moment ago`, { retryAfterSeconds });
    }
    if (!mayReport(pod.namespace))
      throw new BrokerError('throttled', `namespace ${pod.namespace} reports too much: try again`, { retryAfterSeconds: 5 });
    recent.set(key, { until: clock.now() + intervalMs }, intervalMs);
    return { podKey: `${pod.namespace}/${pod.name}`, identity, reason, requestId };
  };
}

/** The identity that a body names by `namespace/name`, if it is one of the pod's. Throws {@link BrokerError}. */
export function identityIn(rows: PodRows, body: unknown): IdentityRow {
  const identity = stringAt(body, 'identity');
  if (identity === undefined) throw new BrokerError('bad_request', 'identity must be the namespace/name of an AzureIdentity');
  const found = rows.identities.find((row) => `${row.namespace}/${row.name}` === identity);
  if (found === undefined) throw new BrokerError('not_found', 'the identity is not bound to this pod');
  return found;
}

/** Writes each report to the AzureAssignedIdentity, where the leader sees it: broker and controller have no other connection. */
export function createReportWriter(options: {
  client: KubeClient;
  log: Logger;
  informers: IdentityInformers;
  clock: Clock;
}): (report: Report) => void {
  const { client, log, informers, clock } = options;
  return ({ podKey, identity, reason, requestId }) => {
    log.warn({ pod: podKey, identity, reason, requestId }, 'IMDS contradicts an assigned identity');
    const assignment = informers.assignmentOf(podKey, identity);
    // An object without this annotation belongs to a MIC of aad-pod-identity, which does not read reports.
    if (assignment?.metadata.annotations?.[annotations.scope] === undefined) return;
    reportImdsMismatch(client, assignment, new Date(clock.wall())).catch((error: unknown) =>
      log.warn({ pod: podKey, identity, error: String(error) }, 'report not written'),
    );
  };
}
