import type { IdentityRow, TokenResponse } from '../api/broker.ts';
import type { BoundPod, Caller } from './bound-token.ts';
import type { MintFederated } from './federation/minter.ts';
import type { MintForPrincipal } from './token-minter.ts';

/** A request of a pod for a token of one of its identities. */
export interface TokenCall {
  pod: BoundPod;
  /** Who asks: the pod itself, or the node endpoint for it. */
  caller: Caller;
  row: IdentityRow;
  /** As the caller wrote it. */
  resource: string;
  scope: string;
  capabilities: readonly string[];
  /** Wants a token that is in no cache. */
  refresh: boolean;
  /** Waits for the turn of the pod's namespace, before a call to the API server or to Entra. Throws a BrokerError. */
  admit(): Promise<void>;
}

/** A list of tokens for an identity with auxiliary tenants. Throws a BrokerError. */
export type MintToken = (call: TokenCall) => Promise<TokenResponse | TokenResponse[]>;

/** Types 1 and 2 sign in with a Secret, which is read for each request. A federated identity needs a call only where no token is cached. */
export function createMinter(options: { mintForPrincipal: MintForPrincipal; mintFederated: MintFederated }): MintToken {
  return async (call) => {
    const { row, resource } = call;
    if (row.type === 0 || row.type === 3) return options.mintFederated(call);
    await call.admit();
    return options.mintForPrincipal(`${row.namespace}/${row.name}`, resource);
  };
}
