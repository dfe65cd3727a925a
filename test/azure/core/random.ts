// All randomness of the emulator comes from one seed, so that a failing run can be repeated.
import { createHash } from 'node:crypto';

/** Uniform in [0, 1). Mulberry32: small, and its whole state is one number. */
export function createRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A number, or a range from which each use draws uniformly. Milliseconds wherever it is used. */
export type Range = { readonly min: number; readonly max: number };

export function drawFrom(range: Range, random: () => number): number {
  return range.min === range.max ? range.min : Math.round(range.min + (range.max - range.min) * random());
}

/** A log-normal delay with the given median and 99th percentile (2.326 is that percentile of the normal distribution). */
export function drawLogNormal(median: number, p99: number, random: () => number): number {
  const sigma = Math.log(p99 / median) / 2.326;
  const normal = Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
  return Math.round(median * Math.exp(sigma * normal));
}

function shapeGuid(hex: string): string {
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-a${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/** The same text always gives the same GUID: ids that a state file leaves out stay the same over restarts. */
export function guidOf(text: string): string {
  return shapeGuid(createHash('sha256').update(text).digest('hex'));
}

export function drawGuid(random: () => number): string {
  return guidOf(`${random()} ${random()}`);
}
