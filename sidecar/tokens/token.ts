// A token as the cache holds it, parsed from a response in the shape of IMDS (docs/reference/imds.md).
import { isRecord } from '../../common/records.ts';

export interface Token {
  accessToken: string;
  /** Unix seconds. */
  expiresOn: number;
  /** Unix seconds. */
  notBefore: number;
  tokenType: string;
  /** The client id that the source reports; absent when it reports none. */
  clientId?: string;
  /** Tokens of the auxiliary tenants of a service principal, in the order of the tenants. */
  auxiliary?: readonly Token[];
}

/**
 * Parses one token, or a list whose first item is the token of the own tenant and whose others are auxiliary. Undefined when a field is
 * missing that every client needs. `wallMs` is for sources that send only `expires_in`.
 */
export function parseTokens(value: unknown, wallMs: number): Token | undefined {
  if (!Array.isArray(value)) return parseToken(value, wallMs);
  const [own, ...auxiliary] = value.map((each: unknown) => parseToken(each, wallMs));
  return own === undefined || !auxiliary.every((each) => each !== undefined) ? undefined : { ...own, auxiliary };
}

/** Parses one token as {@link parseTokens} does. */
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
  if (typeof value === 'string') return /^\d{1,12}$/.test(value) ? Number(value) : undefined;
  return typeof value === 'number' && Number.isSafeInteger(value) ? value : undefined;
}

/** Unix seconds at which the first of its tokens expires: they are served and refreshed together. */
export function expiryOf({ expiresOn, auxiliary }: Token): number {
  return auxiliary === undefined ? expiresOn : Math.min(expiresOn, ...auxiliary.map((each) => each.expiresOn));
}

export function secondsLeft(token: Token, wallMs: number): number {
  return expiryOf(token) - Math.floor(wallMs / 1000);
}
