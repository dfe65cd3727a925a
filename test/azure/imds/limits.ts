// Request limits of one machine's IMDS (docs/reference/imds.md#rate-limits): 20 a second and 5 at once for tokens, 5 a second for the rest.
import type { Context } from '../core/handler.ts';
import type { Bucket, Change } from '../state/model.ts';

const atOnce = 5;

/** Takes one request out of its bucket; `changes` belong to the answer either way. */
export function charge(context: Context, category: 'identity' | 'other'): { refused: boolean; changes: readonly Change[] } {
  const { state, now, vm, inFlight } = context;
  if (!state.config.settings.limits.imds) return { refused: false, changes: [] };
  const perSecond = category === 'identity' ? 20 : 5;
  const key = `imds ${category} ${vm?.resource} ${vm?.instance}`;
  const before: Bucket = state.buckets.get(key) ?? { tokens: perSecond, at: now, blockedUntil: 0 };
  const tokens = Math.min(perSecond, before.tokens + (Math.max(0, now - before.at) / 1000) * perSecond);
  const refused = tokens < 1 || (category === 'identity' && inFlight > atOnce);
  return { refused, changes: [{ table: 'buckets', key, value: { tokens: refused ? tokens : tokens - 1, at: now, blockedUntil: 0 } }] };
}
