// Where tokens come from: one try at a source and what its outcome means. Retrying is the cache's part.
import type { IdentityRow } from '../../api/broker.ts';
import type { Token } from './token.ts';

export interface TokenQuestion {
  row: IdentityRow;
  /** As the application wrote it. */
  resource: string;
  /** Client capabilities, passed on to IMDS. */
  xmsCc: string | undefined;
  bypass: boolean;
}

/** Why a try brought no token. All but `final` and `wrong_client_id` are worth another try. */
export type Trouble =
  | { kind: 'updating' | 'restarting' | 'throttled' | 'server' | 'network' | 'not_imds'; text: string }
  /** IMDS does not know an identity that Azure reports as assigned. */
  | { kind: 'identity_not_found'; text: string; requestId: string }
  | { kind: 'wrong_client_id'; text: string; requestId: string }
  /** The answer goes to the application as it is. */
  | { kind: 'final'; status: number; error: string; text: string };

export type Outcome = { token: Token } | { trouble: Trouble };

export interface TokenSource {
  /** Never rejects; an aborted try is a network trouble. */
  fetch(question: TokenQuestion, signal: AbortSignal): Promise<Outcome>;
}

/**
 * Milliseconds before try number `tries + 1`, or undefined when another try is useless. Full jitter, because up to 110 sidecars of a node
 * share 20 requests/s of one VM; 410 means an update that takes up to 70 s (spec/azure-protocols.md 1.5, 1.6).
 */
export function retryDelay(trouble: Trouble, tries: number, random: number): number | undefined {
  switch (trouble.kind) {
    case 'final':
    case 'wrong_client_id':
      return undefined;
    case 'identity_not_found':
      return tries <= 4 ? 1000 * 2 ** (tries - 1) : undefined;
    case 'restarting':
      return 8000 + 4000 * random;
    case 'server':
      return 1000 + random * Math.min(15_000, 1000 * 2 ** (tries - 1));
    default:
      return 200 + random * Math.min(15_000, 1000 * 2 ** (tries - 1));
  }
}
