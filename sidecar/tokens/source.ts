// Where tokens come from. A source makes one attempt; the cache decides whether another one follows.
import type { IdentityRow } from '../../api/broker.ts';
import type { Token } from './token.ts';

export interface TokenQuery {
  row: IdentityRow;
  /** As the application wrote it. */
  resource: string;
  /** Client capabilities. */
  xmsCc: string | undefined;
  /** Asks the source for a token that is not from its cache. */
  bypass: boolean;
}

/** Why an attempt brought no token. */
export type TokenError =
  | { code: 'updating' | 'restarting' | 'throttled' | 'server' | 'network' | 'not_imds'; message: string }
  /** IMDS answers nothing, while the broker answers. */
  | { code: 'silent'; message: string }
  /** IMDS does not know an identity that Azure reports as assigned. */
  | { code: 'identity_not_found'; message: string; requestId: string }
  /** IMDS has another client id for the identity than Azure reports. */
  | { code: 'wrong_client_id'; message: string; requestId: string }
  /** The application gets status, error and message as they are. */
  | { code: 'final'; status: number; error: string; message: string };

export type TokenResult = { token: Token } | { error: TokenError };

export interface TokenSource {
  /** Never rejects; an attempt that is aborted ends with a `network` error. */
  fetch(query: TokenQuery, signal: AbortSignal): Promise<TokenResult>;
}

/**
 * Milliseconds from failed attempt number `attempt` to the next one, or undefined when another attempt is useless. `random` in [0, 1) is
 * full jitter, because up to 110 sidecars of a node share the 20 requests a second of one VM. `restarting` means an update of IMDS, which
 * takes up to 70 s (docs/reference/imds.md).
 */
export function retryDelayMs(error: TokenError, attempt: number, random: number): number | undefined {
  const backOff = Math.min(15_000, 1000 * 2 ** (attempt - 1));
  switch (error.code) {
    case 'final':
    case 'wrong_client_id':
    case 'silent':
      return undefined;
    case 'identity_not_found':
      return attempt <= 4 ? backOff : undefined;
    case 'restarting':
      return 8000 + 4000 * random;
    case 'server':
      return 1000 + random * backOff;
    default:
      return 200 + random * backOff;
  }
}
