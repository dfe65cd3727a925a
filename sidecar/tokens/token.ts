// A token as it is kept, read from an IMDS-shaped answer and written into one (spec/azure-protocols.md 1.3).
import { isRecord } from '../identities/answer.ts';

export interface Token {
  accessToken: string;
  /** Unix seconds. */
  expiresOn: number;
  notBefore: number;
  tokenType: string;
  /** What the source calls the identity; absent when it does not say. */
  clientId?: string;
}

/** Undefined when the answer lacks what every client needs. `wallMs` serves sources that send only `expires_in`. */
export function parseToken(value: unknown, wallMs: number): Token | undefined {
  if (!isRecord(value)) return undefined;
  const accessToken = value.access_token;
  const nowSeconds = Math.floor(wallMs / 1000);
  const expiresIn = wholeNumber(value.expires_in);
  const expiresOn = wholeNumber(value.expires_on) ?? (expiresIn === undefined ? undefined : nowSeconds + expiresIn);
  if (typeof accessToken !== 'string' || accessToken === '' || expiresOn === undefined) return undefined;
  const clientId = value.client_id;
  return {
    accessToken,
    expiresOn,
    notBefore: wholeNumber(value.not_before) ?? nowSeconds,
    tokenType: typeof value.token_type === 'string' && value.token_type !== '' ? value.token_type : 'Bearer',
    ...(typeof clientId === 'string' && clientId !== '' ? { clientId } : {}),
  };
}

function wholeNumber(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value)
    ? value
    : typeof value === 'string' && /^\d{1,12}$/.test(value)
      ? Number(value)
      : undefined;
}

export function secondsLeft(token: Token, wallMs: number): number {
  return token.expiresOn - Math.floor(wallMs / 1000);
}
