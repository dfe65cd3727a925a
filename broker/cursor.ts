// `asOf`: what the answering replica had seen, in a text that only brokers read.
import { isRecord, stringMapAt } from '../lib/kube/objects.ts';
import { Refusal } from './refusal.ts';
import type { Seen } from './view.ts';

/**
 * A replica whose watches run cannot be so far behind, so an older cursor holds nothing back. Without this a cursor from before a restored
 * backup of the cluster, whose versions are in the future, would be refused for ever.
 */
const freshMs = 10 * 60_000;
const maxLength = 2048;

export function encodeCursor(seen: Seen, now: number): string {
  return Buffer.from(JSON.stringify({ at: now, seen })).toString('base64url');
}

/** What the answer must not be older than; undefined where that is certain. Throws {@link Refusal} for a text that no broker wrote. */
export function decodeCursor(text: string, now: number): Seen | undefined {
  let parsed: unknown;
  try {
    parsed = text.length > maxLength ? undefined : JSON.parse(Buffer.from(text, 'base64url').toString());
  } catch {
    parsed = undefined;
  }
  if (!isRecord(parsed) || typeof parsed.at !== 'number' || !isRecord(parsed.seen))
    throw new Refusal('bad_request', 'asOf is not a cursor of this broker: send the one of the last answer, or none');
  return now - parsed.at > freshMs ? undefined : stringMapAt(parsed, 'seen');
}
