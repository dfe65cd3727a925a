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
  /** Of the auxiliary tenants of a service principal, in their order. */
  auxiliary?: readonly Token[];
}

/**
 * A token, or a list of them of which the first is the one and the others are auxiliary. Undefined when the answer lacks what every client
 * needs. `wallMs` serves sources that send only `expires_in`.
 */
export function parseTokens(value: unknown, wallMs: number): Token | undefined {
  if (!Array.isArray(value)) return parseToken(value, wallMs);
  const [own, ...auxiliary] = value.map((each: unknown) => parseToken(each, wallMs));
  return own === undefined || !auxiliary.every((each) => each !== undefined) ? undefined : { ...own, auxiliary };
}

/** As {@link parseTokens} does for one token. */
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

/** Unix seconds at which the first of its tokens ends: they are served and renewed together. */
export function endOf({ expiresOn, auxiliary = [] }: Token): number {
  return Math.min(expiresOn, ...auxiliary.map((each) => each.expiresOn));
}

export function secondsLeft(token: Token, wallMs: number): number {
  return endOf(token) - Math.floor(wallMs / 1000);
}
