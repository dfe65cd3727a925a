// Counts of sidecars and node endpoints. A tenant can report what it likes, so what one pod adds is bounded, and nothing of a pod becomes a label.
import type { CountName } from '../api/broker.ts';
import { countNames } from '../api/broker.ts';
import type { Clock } from '../common/clock.ts';
import { limitEach } from '../lib/rate-limiters.ts';

export type ReportedCounts = ReadonlyMap<CountName, number>;
/** Who reports: each route has one. */
export type Reporter = 'sidecar' | 'node_endpoint';

/** Of one name in one report: more than a sidecar can serve between two polls. */
export const maxCount = 10_000_000;
const maxLength = 512;
/** Of one pod. Its sidecar polls again after each change of its identities. */
const reportRate = { perSecond: 1 / 30, burst: 20 };

/** Without names that are not known and what is no count: a newer sidecar, or a hostile one. */
export function parseCounts(text: string | undefined): ReportedCounts {
  const counts = new Map<CountName, number>();
  if (text === undefined || text.length > maxLength) return counts;
  for (const part of text.split(',')) {
    const [, name, count] = /^([a-z_]+):(\d{1,15})$/.exec(part) ?? [];
    const known = countNames.find((each) => each === name);
    if (known !== undefined) counts.set(known, Math.min(maxCount, Number(count)));
  }
  return counts;
}

/** The counts of a sidecar, by the uid of its pod; none where it reports too often. */
export function createCountsReader(clock: Clock): (uid: string, text: string | undefined) => ReportedCounts {
  const mayReport = limitEach({ ...reportRate, keys: 20_000, clock });
  return (uid, text) => parseCounts(text !== undefined && mayReport(uid) ? text : undefined);
}
