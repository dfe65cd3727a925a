// Tells the controller that IMDS disagrees with a row, so that it looks at that scope now (design 6).
import type { IdentityRow, ReportRequest } from '../api/broker.ts';
import { reportPath } from '../api/broker.ts';
import type { Clock } from '../common/clock.ts';
import type { Broker } from './identities/broker.ts';
import { reasonOf } from './identities/broker.ts';
import { rowKey } from './identities/store.ts';
import type { Log } from './log.ts';

const everyMs = 300_000;
const timeoutMs = 5_000;

export type Report = (row: IdentityRow, reason: ReportRequest['reason'], requestId: string) => Promise<void>;

/** At most one report for an identity in five minutes, as the broker accepts them. Never rejects. */
export function createReport(options: { broker: Broker; clock: Clock; log: Log }): Report {
  const last = new Map<string, number>();
  return async (row, reason, requestId) => {
    const identity = rowKey(row);
    const now = options.clock.now();
    for (const [key, at] of last) if (now - at >= everyMs) last.delete(key);
    if (last.has(identity)) return;
    last.set(identity, now);
    const body: ReportRequest = { identity, reason, requestId };
    try {
      const answer = await options.broker.call({ method: 'POST', path: reportPath, body, timeoutMs });
      if (answer.status !== 202) options.log.warn('report not accepted', { identity, reason, status: answer.status });
    } catch (error) {
      options.log.warn('report not delivered', { identity, reason, error: reasonOf(error) });
    }
  };
}
