// POST /v1/federation/proof: one exchange for the controller, which says whether Entra accepts the broker's assertion. No token leaves.
import type { INetworkModule } from '@azure/msal-node';
import type { FederationProofRequest, FederationProofResponse } from '../../api/federation.ts';
import { failureOf, isRetryable } from '../../lib/azure/auth/aadsts.ts';
import { EntraError } from '../../lib/azure/auth/application-token.ts';
import { exchangeAssertion } from '../../lib/azure/auth/exchange-assertion.ts';
import { scopeOf } from '../../lib/azure/auth/scope.ts';
import { isClientId, isTenant } from '../../lib/azure/entra-names.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { BrokerError } from '../error.ts';
import type { AssertionSource } from './assertion.ts';
import { AssertionError } from './assertion.ts';

export type Prove = (request: FederationProofRequest) => Promise<FederationProofResponse>;

/** Throws {@link BrokerError}. */
export function parseProofRequest(body: unknown): FederationProofRequest {
  const [tenantId = '', clientId = '', resource = ''] = ['tenantId', 'clientId', 'resource'].map((key) => stringAt(body, key));
  if (!isTenant(tenantId) || !isClientId(clientId) || scopeOf(resource) === undefined)
    throw new BrokerError('bad_request', 'tenantId must be a GUID or a DNS name, clientId a GUID, and resource that of an API');
  return { tenantId, clientId, resource };
}

export function createProver(options: {
  /** Origin of the Entra of the settings. */
  authority: string;
  assertions: AssertionSource;
  network: INetworkModule;
  onResult(result: 'token' | number | undefined): void;
}): Prove {
  const { authority, assertions, network, onResult } = options;

  async function attempt(
    { resource, ...client }: FederationProofRequest,
    assertion: string,
  ): Promise<FederationProofResponse | EntraError> {
    try {
      await exchangeAssertion({ authority, ...client, assertion, scope: scopeOf(resource) ?? '', capabilities: [], network });
      onResult('token');
      return { outcome: 'proven' };
    } catch (error) {
      if (!(error instanceof EntraError)) throw error;
      onResult(error.details.aadsts);
      return error;
    }
  }

  return async (request) => {
    try {
      let result = await attempt(request, (await assertions.get()).token);
      if (result instanceof EntraError && failureOf(result.details).kind === 'assertion')
        result = await attempt(request, (await assertions.reread()).token);
      return result instanceof EntraError ? outcomeOf(result) : result;
    } catch (error) {
      if (error instanceof AssertionError) return { outcome: 'failed', message: error.message, retryable: true };
      throw error;
    }
  };
}

function outcomeOf({ details, message }: EntraError): FederationProofResponse {
  const { kind, hint, proves } = failureOf(details);
  if (proves) return { outcome: 'proven' };
  return {
    outcome: 'failed',
    ...(details.aadsts === undefined ? {} : { aadsts: details.aadsts }),
    ...(details.error === undefined ? {} : { error: details.error }),
    message: hint === '' ? message : `${hint}. Entra: ${message}`,
    retryable: isRetryable(kind),
  };
}
