// The broker's own service account token, which it exchanges at Entra. Whoever has it can have each identity that trusts its subject, so it is in memory
// and in the projected volume only: never in a log, an error or an answer (docs/adr/0030-federated-assignment.md).
import { readFile } from 'node:fs/promises';
import type { JWTPayload } from 'jose';
import { decodeJwt } from 'jose';
import type { FederationResponse } from '../../api/federation.ts';
import type { Clock } from '../../common/clock.ts';

export interface Assertion {
  token: string;
  /** What an identity must trust. */
  trust: FederationResponse;
}

export interface AssertionSource {
  /** At most a minute old. Throws {@link AssertionError}. */
  get(): Promise<Assertion>;
  /** From the file as it is now: kubelet renews the token long before it expires, but not where its clock or ours is wrong. Throws as `get`. */
  reread(): Promise<Assertion>;
}

/** There is no token to exchange. The text holds nothing of it. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
  readonly code = 'no_assertion';
}

/** kubelet renews a token of an hour after 48 minutes, and writes it within a minute or two. */
const rereadMs = 60_000;

/** `file`: of the projected volume; empty where there is none. */
export function createAssertionSource({ file, clock }: { file: string; clock: Clock }): AssertionSource {
  let current: { readAt: number; assertion: Promise<Assertion> } | undefined;

  function read(): Promise<Assertion> {
    const reading = { readAt: clock.now(), assertion: readAssertion(file, clock) };
    // A failure is not kept.
    reading.assertion.catch(() => {
      if (current === reading) current = undefined;
    });
    current = reading;
    return reading.assertion;
  }

  return {
    get: () => (current !== undefined && clock.now() - current.readAt < rereadMs ? current.assertion : read()),
    reread: read,
  };
}

async function readAssertion(file: string, clock: Clock): Promise<Assertion> {
  if (file === '') throw new AssertionError('the broker has no token for Entra: the setting federatedTokenFile names none');
  let token: string;
  try {
    token = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
    throw new AssertionError(`the broker's token for Entra cannot be read (${code}): ${file}`);
  }
  const claims = claimsOf(token);
  const { iss: issuer, sub: subject, aud, exp } = claims ?? {};
  const audience = Array.isArray(aud) ? (aud.length === 1 ? aud[0] : undefined) : aud;
  if (issuer === undefined || subject === undefined || audience === undefined)
    throw new AssertionError(`${file} is no token of a service account with one audience`);
  if (exp !== undefined && exp * 1000 <= clock.wall())
    throw new AssertionError(`the broker's token for Entra expired at ${new Date(exp * 1000).toISOString()}: does kubelet renew ${file}?`);
  return { token, trust: { issuer, subject, audience } };
}

function claimsOf(token: string): JWTPayload | undefined {
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}
