// Which CAs to keep. Two exist from the start and both are trusted everywhere, so that every client knows the next CA before it signs
// (docs/adr/0016-certificates-in-two-generations.md). Pure.
import { X509Certificate } from 'node:crypto';
import { dayMs, leafLifeMs } from '../../lib/tls/issue.ts';
import type { KeyPair } from '../../lib/tls/key-pair.ts';
import { lifeOf, readPair } from './leaf.ts';

/** The contents of the CA Secret. `previous` is a certificate without its key: its last leaves may still be served. */
export interface Authorities {
  current: KeyPair;
  next: KeyPair;
  previous?: string;
}

/** The parts of `Authorities` that a Secret holds; a damaged part is absent. */
export type StoredAuthorities = Partial<Authorities>;

/** A CA signs only after it was published for so long: pods injected before learn of it from the broker. */
const publishedMs = 365 * dayMs;

/**
 * The CAs to keep; an absent one must be issued. The next CA replaces the current one after two thirds of its life if it was published for a year,
 * and at the latest when less than a year is left.
 */
export function planAuthorities(stored: StoredAuthorities, now: Date): StoredAuthorities {
  const time = now.getTime();
  const alive = (pair: KeyPair | undefined) =>
    pair !== undefined && time + leafLifeMs < lifeOf(pair.certificate).notAfter ? pair : undefined;
  const next = alive(stored.next);
  const current = alive(stored.current);

  if (current !== undefined && next === undefined) return { current };
  if (current !== undefined && next !== undefined && !isDue(current, next, time)) {
    const stillServed = stored.previous !== undefined && time < lifeOf(next.certificate).notBefore + leafLifeMs;
    return { current, next, ...(stillServed ? { previous: stored.previous } : {}) };
  }
  // Also where the current pair is damaged: the next one is trusted already.
  const retired = stored.current?.certificate;
  return { ...(next === undefined ? {} : { current: next }), ...(retired === undefined ? {} : { previous: retired }) };
}

function isDue(current: KeyPair, next: KeyPair, time: number): boolean {
  const { notBefore, notAfter } = lifeOf(current.certificate);
  const pastTwoThirds = time >= notBefore + ((notAfter - notBefore) * 2) / 3;
  return pastTwoThirds && (time >= lifeOf(next.certificate).notBefore + publishedMs || time >= notAfter - publishedMs);
}

/** PEM of every CA to trust; the same text for the same CAs. */
export function bundleOf({ current, next, previous }: Authorities): string {
  return [current.certificate, next.certificate, ...(previous === undefined ? [] : [previous])].map((pem) => `${pem.trim()}\n`).join('');
}

export const authorityKeys = {
  current: { certificate: 'current.crt', key: 'current.key' },
  next: { certificate: 'next.crt', key: 'next.key' },
  previous: 'previous.crt',
} as const;

/** From the Secret's decoded data. */
export function readAuthorities(data: Readonly<Record<string, string>>): StoredAuthorities {
  const current = readPair(data, authorityKeys.current);
  const next = readPair(data, authorityKeys.next);
  const previous = data[authorityKeys.previous];
  return {
    ...(current !== undefined && isAuthority(current.certificate) ? { current } : {}),
    ...(next !== undefined && isAuthority(next.certificate) && next.certificate !== current?.certificate ? { next } : {}),
    ...(previous !== undefined && isAuthority(previous) ? { previous } : {}),
  };
}

export function writeAuthorities({ current, next, previous }: Authorities): Record<string, string> {
  return {
    [authorityKeys.current.certificate]: current.certificate,
    [authorityKeys.current.key]: current.key,
    [authorityKeys.next.certificate]: next.certificate,
    [authorityKeys.next.key]: next.key,
    ...(previous === undefined ? {} : { [authorityKeys.previous]: previous }),
  };
}

function isAuthority(certificate: string): boolean {
  try {
    return new X509Certificate(certificate).ca;
  } catch {
    return false;
  }
}
