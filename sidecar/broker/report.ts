// Reports to the controller, through the broker, that IMDS contradicts a row.
import type { IdentityRow, ReportRequest } from '../../api/broker.ts';
import { reportPath } from '../../api/broker.ts';
import { rowKey } from '../../api/identity-choice.ts';
import type { Clock } from '../../common/clock.ts';
import type { Log } from '../log.ts';
import type { BrokerClient } from './client.ts';
import { describeBrokerError } from './contact.ts';

/** The broker accepts one report for an identity in this time. */
const intervalMs = 300_000;
const timeoutMs = 5_000;

/** Never rejects. */
export type Report = (row: IdentityRow, reason: ReportRequest['reason'], requestId: string) => Promise<void>;

/** The returned function sends at most one report for an identity in five minutes. */
export function createReporter({ broker, clock, log }: { broker: BrokerClient; clock: Clock; log: Log }): Report {
  const sentAt = new Map<string, number>();
  return async (row, reason, requestId) => {
    const identity = rowKey(row);
    const now = clock.now();
    for (const [key, at] of sentAt) if (now - at >= intervalMs) sentAt.delete(key);
    if (sentAt.has(identity)) return;
    sentAt.set(identity, now);
    const body: ReportRequest = { identity, reason, requestId };
    try {
      const response = await broker.call({ method: 'POST', path: reportPath, body, timeoutMs });
      if (response.status !== 202) log.warn('report not accepted', { identity, reason, status: response.status });
    } catch (error) {
      log.warn('report not delivered', { identity, reason, error: describeBrokerError(error) });
    }
  };
}
