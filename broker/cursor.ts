// `asOf`: what the caches of the answering replica had reached, as a text that only brokers read.
import { isRecord, stringMapAt } from '../lib/kube/objects.ts';
import { BrokerError } from './error.ts';
import type { CacheVersions } from './rows.ts';

/**
 * An older cursor holds nothing back: no replica whose watches run is so far behind. A restore of the cluster from a backup takes resource versions
 * back; without this limit the cursors from before it would be refused for ever.
 */
const maxAgeMs = 10 * 60_000;
const maxLength = 2048;

/** `now` is wall time in ms, since replicas compare it. */
export function encodeCursor(versions: CacheVersions, now: number): string {
  return Buffer.from(JSON.stringify({ at: now, seen: versions })).toString('base64url');
}

/** What the response must not be older than; undefined for a cursor that is too old to matter. Throws {@link BrokerError} for any other text. */
export function decodeCursor(text: string, now: number): CacheVersions | undefined {
  let parsed: unknown;
  try {
    parsed = text.length > maxLength ? undefined : JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    parsed = undefined;
  }
  if (!isRecord(parsed) || typeof parsed.at !== 'number' || !isRecord(parsed.seen))
    throw new BrokerError('bad_request', 'asOf is not a cursor of this broker: send the one of the last answer, or none');
  return now - parsed.at > maxAgeMs ? undefined : stringMapAt(parsed, 'seen');
}
