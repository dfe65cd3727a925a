// The keys that sign every token, of Entra and of IMDS. Rolling adds a key and keeps the old ones published, as Entra does.

import type { KeyObject } from 'node:crypto';
import { createHash, createPublicKey, generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import { createAttestor } from './certificates.ts';
import type { Jwt } from './jwt.ts';
import { signJwt, verifyJwt } from './jwt.ts';
import { isRecord } from './messages.ts';

type SigningKey = { readonly kid: string; readonly privateKey: KeyObject; readonly publicKey: KeyObject };

export type PublicJwk = {
  readonly kty: 'RSA';
  readonly use: 'sig';
  readonly kid: string;
  readonly alg: 'RS256';
  readonly n: string;
  readonly e: string;
};

export type KeyRing = {
  sign(claims: Record<string, unknown>): string;
  /** Whether one of the published keys signed this token. */
  verifies(jwt: Jwt): boolean;
  jwks(): { keys: PublicJwk[] };
  roll(): Promise<void>;
  /** A PKCS#7 signature over the text, as base64: what the attested document of IMDS carries. */
  attest(text: string): string;
};

const generate = promisify(generateKeyPair);

async function createKey(): Promise<SigningKey> {
  const { privateKey } = await generate('rsa', { modulusLength: 2048 });
  const publicKey = createPublicKey(privateKey);
  const kid = createHash('sha256')
    .update(publicKey.export({ format: 'der', type: 'spki' }))
    .digest('base64url')
    .slice(0, 27);
  return { kid, privateKey, publicKey };
}

function toJwk(key: SigningKey): PublicJwk {
  const { n, e } = key.publicKey.export({ format: 'jwk' });
  return { kty: 'RSA', use: 'sig', kid: key.kid, alg: 'RS256', n: n ?? '', e: e ?? '' };
}

export async function createKeyRing(): Promise<KeyRing> {
  let current = await createKey();
  let attest: ((text: string) => string) | null = null;
  const published = [current];
  return {
    sign: (claims) => signJwt({ kid: current.kid, x5t: current.kid }, claims, current.privateKey),
    verifies: (jwt) => published.some((key) => key.kid === jwt.header.kid && verifyJwt(jwt, key.publicKey)),
    jwks: () => ({ keys: published.map(toJwk) }),
    attest(text) {
      attest ??= createAttestor(current.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString());
      return attest(text);
    },
    async roll() {
      current = await createKey();
      published.unshift(current);
      // Entra publishes a handful; more would only grow.
      published.length = Math.min(published.length, 4);
    },
  };
}

/** Reads a JWK of somebody else's key set; null where it is not a usable public key. */
export function keyOfJwk(jwk: unknown): KeyObject | null {
  if (!isRecord(jwk)) return null;
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch {
    return null;
  }
}
