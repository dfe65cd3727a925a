/** Azure takes up to a minute for one write to a scale set, and a new identity may wait for the write before it: docs/reference/arm.md#long-running-operations. */
const usualMs = 120_000;

/** Whether what began at one of these times (RFC 3339) may still be on its way. Later, a wait without a reason is a fault. */
export const isUnderWay = (began: readonly (string | undefined)[], now: Date): boolean =>
  began.some((time) => now.getTime() - Date.parse(time ?? '') < usualMs);
