// The pace of writes to one scope, below what Azure allows a scale set (docs/reference/arm.md#throttling): 12 at once, then 4 a minute. Pure.

export interface Pace {
  readonly tokens: number;
  /** When `tokens` was right; milliseconds since the epoch. */
  readonly at: number;
}

const burst = 12;
const perMs = 4 / 60_000;

/** Writes that trials leave for identities without suspicion. */
const reserve = 3;

export const fullPace: Pace = { tokens: burst, at: 0 };

/** When the next write may be sent; now or later. */
export function nextWriteAt(pace: Pace, trial: boolean, now: number): number {
  const missing = (trial ? 1 + reserve : 1) - tokensAt(pace, now);
  return missing <= 0 ? now : now + Math.ceil(missing / perMs);
}

/** So many writes were sent. One change may need several. */
export const spend = (pace: Pace, writes: number, now: number): Pace => ({ tokens: Math.max(0, tokensAt(pace, now) - writes), at: now });

const tokensAt = ({ tokens, at }: Pace, now: number): number => Math.min(burst, tokens + Math.max(0, now - at) * perMs);
