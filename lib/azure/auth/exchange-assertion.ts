// A token of an application or managed identity for an assertion that it trusts: workload identity federation (docs/reference/entra.md#federated-credentials).
import type { INetworkModule } from '@azure/msal-node';
import type { ApplicationToken } from './application-token.ts';
import { requestApplicationToken } from './application-token.ts';

export interface Exchange {
  /** Origin of Entra, without a trailing slash. */
  authority: string;
  tenantId: string;
  clientId: string;
  /** A service account token. Whoever has it can have each identity that trusts its subject. */
  assertion: string;
  scope: string;
  /** What the caller can do with the token, such as `cp1`. */
  capabilities: readonly string[];
  network: INetworkModule;
}

/** Throws an EntraError, whose text does not hold the assertion. */
export function exchangeAssertion({ assertion, scope, capabilities, ...request }: Exchange): Promise<ApplicationToken> {
  return requestApplicationToken({
    ...request,
    credential: { clientAssertion: assertion },
    scopes: [scope],
    ...(capabilities.length === 0 ? {} : { capabilities }),
  });
}
