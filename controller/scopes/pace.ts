// The pace of writes to one scope, below what Azure allows a scale set (docs/reference/arm.md#throttling). Pure.

export interface PaceLimits {
  /** Writes at once after a quiet time. */
  readonly burst: number;
  readonly perMinute: number;
}

export interface Pace {
  readonly limits: PaceLimits;
  readonly tokens: number;
  /** When `tokens` was right; milliseconds since the epoch. */
  readonly at: number;
}

/** What Azure allows a scale set, and a virtual machine too. */
export const azureLimits: PaceLimits = { burst: 12, perMinute: 4 };

export const fullPace = (limits: PaceLimits): Pace => ({ limits, tokens: limits.burst, at: 0 });

/** When the next write may be sent; now or later. A quarter of the burst is left to identities without suspicion. */
export function nextWriteAt(pace: Pace, trial: boolean, now: number): number {
  const { burst, perMinute } = pace.limits;
  const missing = (trial ? 1 + Math.floor(burst / 4) : 1) - tokensAt(pace, now);
  return missing <= 0 ? now : now + Math.ceil((missing * 60_000) / perMinute);
}

/** So many writes were sent. One change may need several. */
export const spend = (pace: Pace, writes: number, now: number): Pace => ({
  ...pace,
  tokens: Math.max(0, tokensAt(pace, now) - writes),
  at: now,
});

const tokensAt = ({ limits, tokens, at }: Pace, now: number): number =>
  Math.min(limits.burst, tokens + (Math.max(0, now - at) * limits.perMinute) / 60_000);
