// POST /v1/token for identities of types 1 and 2: the broker signs in for the pod, so that no credential enters a pod.
import { hash } from 'node:crypto';
import type { INetworkModule } from '@azure/msal-node';
import type { TokenResponse } from '../api/broker.ts';
import type { AzureIdentity } from '../api/kinds.ts';
import type { Clock } from '../common/clock.ts';
import type { ClientCredential } from '../lib/azure/auth/application-token.ts';
import { EntraError, requestApplicationToken } from '../lib/azure/auth/application-token.ts';
import { resourceForm, scopeOf } from '../lib/azure/auth/scope.ts';
import type { InvalidIdentityReason } from '../lib/identities/reasons.ts';
import type { ServicePrincipal, ServicePrincipalRules } from '../lib/identities/service-principal.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isForbidden, isNotFound, KubeError } from '../lib/kube/errors.ts';
import type { EventRecorder, Regarding } from '../lib/kube/events.ts';
import { azureIdentities, resourcePath, secrets } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import type { SecretCredential } from './client-credential.ts';
import { parseClientCredential } from './client-credential.ts';
import { BrokerError } from './error.ts';
import { InvalidIdentityError, parseServicePrincipal } from './service-principal.ts';
import type { ObtainedToken } from './token-response.ts';
import { tokenResponse } from './token-response.ts';
import { createTtlCache } from './ttl-cache.ts';

/**
 * One token, or with auxiliary tenants a list of them, the own tenant's first. Throws {@link BrokerError}: status 400 where the identity is invalid or Entra
 * refuses, 503 where a retry may succeed.
 */
export type MintForPrincipal = (identity: string, resource: string) => Promise<TokenResponse | TokenResponse[]>;

export interface MinterOptions {
  client: KubeClient;
  log: Logger;
  events: Pick<EventRecorder<InvalidIdentityReason>, 'record'>;
  /** By `namespace/name`. */
  identityOf(key: string): AzureIdentity | undefined;
  rules: ServicePrincipalRules;
  network: INetworkModule;
  clock: Clock;
}

/** Everything that one token request depends on. */
interface MintRequest {
  identity: string;
  principal: ServicePrincipal;
  resource: string;
}

type Result = { token: ObtainedToken } | { error: BrokerError };

const cacheLimit = 2_000;
/** Sidecars refresh at half of a token's life. An older token would bring them back at once. */
const servedShare = 0.3;
/** Entra takes many pods with one broken identity for a client that loops (AADSTS50196, docs/reference/entra.md). */
const errorTtlMs = 10_000;

export function createTokenMinter(options: MinterOptions): MintForPrincipal {
  const results = createTtlCache<Result>(cacheLimit, options.clock);
  const inFlight = new Map<string, Promise<Result[]>>();

  async function tokensOf(request: MintRequest): Promise<Result[]> {
    const secret = await readSecret(options, request);
    return Promise.all(request.principal.tenantIds.map((tenantId) => tokenOf(request, tenantId, secret)));
  }

  async function tokenOf(request: MintRequest, tenantId: string, { credential, version }: SecretCredential): Promise<Result> {
    const { principal, resource } = request;
    // A change of the Secret or of the identity is another key, so it takes effect at once.
    const key = hash('sha256', JSON.stringify([principal, tenantId, version, resource]), 'base64');
    const cached = results.get(key);
    if (cached !== undefined) return cached;
    const result = await signIn(options, request, tenantId, credential);
    results.set(key, result, 'token' in result ? (result.token.expiresOn.getTime() - result.token.obtainedAt) * servedShare : errorTtlMs);
    return result;
  }

  return async (identity, resource) => {
    // One snapshot for the whole request: the AzureIdentity can change while a sign-in is in flight.
    const request: MintRequest = { identity, principal: principalOf(options, identity), resource };
    const key = JSON.stringify(request);
    let tokens = inFlight.get(key);
    if (tokens === undefined) {
      tokens = tokensOf(request).finally(() => inFlight.delete(key));
      inFlight.set(key, tokens);
    }
    const [own, ...auxiliary] = (await tokens).map((result) => {
      if ('error' in result) throw result.error;
      return tokenResponse(result.token, { clientId: request.principal.clientId, resource, now: options.clock.wall() });
    });
    if (own === undefined) throw new BrokerError('internal', 'no token was requested');
    return auxiliary.length === 0 ? own : [own, ...auxiliary];
  };
}

function principalOf({ identityOf, rules, events }: MinterOptions, identity: string): ServicePrincipal {
  const object = identityOf(identity);
  if (object === undefined) throw new BrokerError('not_found', `AzureIdentity ${identity} does not exist`);
  try {
    return parseServicePrincipal(object, rules);
  } catch (error) {
    if (error instanceof InvalidIdentityError) events.record(regardingOf(object), 'Warning', error.reason, error.message);
    throw error;
  }
}

function regardingOf({ metadata: { namespace = '', name = '', uid } }: AzureIdentity): Regarding {
  const { group, version, kind } = azureIdentities;
  return { apiVersion: `${group}/${version}`, kind, namespace, name, uid };
}

async function readSecret({ client, log, events, identityOf }: MinterOptions, request: MintRequest): Promise<SecretCredential> {
  const { secret, type } = request.principal;
  const key = `${secret.namespace}/${secret.name}`;
  try {
    return await parseClientCredential(type, await client.call('GET', resourcePath(secrets, secret), { timeoutMs: 10_000 }));
  } catch (error) {
    const why = isNotFound(error) ? 'does not exist' : error instanceof Error ? error.message : String(error);
    log.warn({ secret: key, error: why }, 'Secret of an AzureIdentity cannot be used');
    const identity = identityOf(request.identity);
    if (isForbidden(error) && identity !== undefined) {
      const message = `the broker may not read Secret ${key}: add namespace ${secret.namespace} to the value rbac.secretNamespaces of the chart, or set rbac.allowAccessToSecrets for all namespaces`;
      events.record(regardingOf(identity), 'Warning', 'SecretForbidden', message);
    }
    // The text of the API server can hold what a pod has no right to read.
    const message = error instanceof KubeError && !isNotFound(error) ? 'cannot be read' : why;
    throw new BrokerError('token_failed', `Secret ${key} ${message}`, { status: 503, retryAfterSeconds: 10 });
  }
}

async function signIn(options: MinterOptions, request: MintRequest, tenantId: string, credential: ClientCredential): Promise<Result> {
  const { network, log, clock } = options;
  const { identity, resource } = request;
  const { authority, clientId } = request.principal;
  const scope = scopeOf(resource);
  if (scope === undefined) return { error: new BrokerError('bad_request', `resource must be ${resourceForm}`) };
  try {
    const token = await requestApplicationToken({ authority, tenantId, clientId, credential, scopes: [scope], network });
    log.info({ identity, tenantId, clientId, resource, expires: token.expiresOn }, 'token issued');
    return { token: { ...token, obtainedAt: clock.wall() } };
  } catch (error) {
    const status = error instanceof EntraError ? error.status : undefined;
    const isFinal = status !== undefined && status >= 400 && status < 500 && status !== 429;
    const message = error instanceof EntraError ? error.message : 'Entra cannot be reached';
    log.warn({ identity, tenantId, clientId, resource, status, error: message }, 'no token from Entra');
    return { error: new BrokerError('token_failed', message, isFinal ? {} : { status: 503, retryAfterSeconds: errorTtlMs / 1000 }) };
  }
}
