/** Of Bun's global `crypto`, or of node:crypto, which would cost every sidecar 0.6 MiB (docs/reference/bun.md). */
export type TimingSafeEqual = (a: Uint8Array, b: Uint8Array) => boolean;

/** Compares a header with the secret in a time that depends on their lengths alone. */
export function createHeaderCheck(secret: string, timingSafeEqual: TimingSafeEqual): (sent: string) => boolean {
  const encoder = new TextEncoder();
  const expected = encoder.encode(secret);
  return (sent) => {
    const actual = encoder.encode(sent);
    return actual.length === expected.length && timingSafeEqual(actual, expected);
  };
}
