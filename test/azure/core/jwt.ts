// Compact JWTs on node:crypto, synchronous so that the handlers stay plain functions. The conformance tests check them with `jose`.

import type { KeyObject } from 'node:crypto';
import { constants, createHash, sign, verify } from 'node:crypto';
import { isRecord, parseJson } from './messages.ts';

export type Jwt = {
  readonly header: Readonly<Record<string, unknown>>;
  readonly claims: Readonly<Record<string, unknown>>;
  readonly signed: string;
  readonly signature: Buffer;
};

const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

export function signJwt(header: Record<string, unknown>, claims: Record<string, unknown>, key: KeyObject): string {
  const signed = `${encode({ typ: 'JWT', alg: 'RS256', ...header })}.${encode(claims)}`;
  return `${signed}.${sign('sha256', Buffer.from(signed), key).toString('base64url')}`;
}

function decodePart(part: string): Record<string, unknown> | null {
  if (!/^[A-Za-z0-9_-]+$/.test(part)) return null;
  const value = parseJson(Buffer.from(part, 'base64url').toString('utf8'));
  return isRecord(value) ? value : null;
}

/** Takes a token apart without trusting it; null when it is not a signed compact JWT. */
export function readJwt(token: string): Jwt | null {
  const [headerPart, claimsPart, signaturePart, ...rest] = token.split('.');
  if (headerPart === undefined || claimsPart === undefined || !signaturePart || rest.length > 0) return null;
  const header = decodePart(headerPart);
  const claims = decodePart(claimsPart);
  if (header === null || claims === null) return null;
  return { header, claims, signed: `${headerPart}.${claimsPart}`, signature: Buffer.from(signaturePart, 'base64url') };
}

/** Whether the signature is this key's, by the algorithm the header names. `none` and HMAC are never accepted. */
export function verifyJwt(jwt: Jwt, key: KeyObject): boolean {
  const data = Buffer.from(jwt.signed);
  const rsa = key.asymmetricKeyType === 'rsa';
  if (jwt.header.alg === 'RS256' && rsa) return verify('sha256', data, key, jwt.signature);
  if (jwt.header.alg === 'PS256' && rsa) {
    const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST };
    return verify('sha256', data, { key, ...padding }, jwt.signature);
  }
  if (jwt.header.alg === 'ES256' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') {
    return verify('sha256', data, { key, dsaEncoding: 'ieee-p1363' }, jwt.signature);
  }
  return false;
}

/** How the log names a secret: the same one can be recognised again, never read. */
export function fingerprint(secret: string): string {
  return `sha256:${createHash('sha256').update(secret).digest('hex').slice(0, 16)}`;
}
