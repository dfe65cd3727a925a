// POST /v1/token for federated identities, of type 0 and 3: the broker exchanges its own assertion. The pod is authorised first, then the cache is read
// (docs/adr/0031-minting-by-assertion.md).
import type { INetworkModule } from '@azure/msal-node';
import type { IdentityRow, TokenResponse } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import type { InvalidIdentityReason } from '../../lib/identities/reasons.ts';
import { regardingIdentity } from '../../lib/identities/regarding.ts';
import type { EventRecorder } from '../../lib/kube/events.ts';
import type { Logger } from '../../lib/log.ts';
import { BrokerError } from '../error.ts';
import { InvalidIdentityError } from '../service-principal.ts';
import type { TokenCall } from '../token-call.ts';
import type { ObtainedToken } from '../token-response.ts';
import { tokenResponse } from '../token-response.ts';
import type { AssertionSource } from './assertion.ts';
import { Exchanges } from './exchanges.ts';
import type { FederatedPrincipal, PrincipalRules } from './principal.ts';
import { federatedPrincipalOf } from './principal.ts';
import { SharedTokens, textOf } from './tokens.ts';

export type MintFederated = (call: TokenCall) => Promise<TokenResponse>;

export interface FederatedMinterOptions {
  log: Logger;
  events: Pick<EventRecorder<InvalidIdentityReason>, 'record'>;
  /** By `namespace/name`. */
  identityOf(key: string): Identity | undefined;
  rules: PrincipalRules;
  assertions: AssertionSource;
  network: INetworkModule;
  clock: Clock;
  random: () => number;
  metrics: FederationMetrics;
  /** The controller should look at the Azure identity of this AzureIdentity, which the pod has. */
  onUnknown(podKey: string, identity: string): void;
}

export interface FederationMetrics {
  /** Counts an exchange with Entra: `token`, or the AADSTS number of the error. */
  countExchange(result: 'token' | number | undefined): void;
  /** Counts a token that a pod got. */
  countToken(source: 'entra' | 'cache'): void;
}

export function createFederatedMinter(options: FederatedMinterOptions): MintFederated {
  const { log, clock, rules, metrics } = options;
  const tokens = new SharedTokens(options);
  const exchanges = new Exchanges({
    ...options,
    onToken: (key, token) => tokens.set(key, token),
    onResult: metrics.countExchange,
    onUnknown: ({ podKey, identity }) => options.onUnknown(podKey, identity),
  });

  return async (call) => {
    const { pod, row, scope, capabilities } = call;
    const identity = identityOf(options, row);
    requireAssigned(row);
    const principal = principalOf(options, identity);
    const { clientId, tenantId } = principal;
    const key = { authority: rules.authority, tenantId, clientId, scope, capabilities };
    const text = textOf(key);
    const request = {
      key,
      principal,
      identity: identity.key,
      podKey: `${pod.namespace}/${pod.name}`,
      namespace: pod.namespace,
      admit: call.admit,
    };

    const answer = (token: ObtainedToken, source: 'entra' | 'cache') => {
      audit(log, call, { identity, principal, token, source });
      metrics.countToken(source);
      return tokenResponse(token, { clientId, resource: call.resource, now: clock.wall() });
    };
    const cached = tokens.get(text);
    if (cached !== undefined && !(call.refresh && tokens.mayForce(text))) {
      if (cached.isDue)
        void exchanges.refresh(text, request).then((succeeded) => {
          if (!succeeded) tokens.postpone(text);
        });
      return answer(cached.token, 'cache');
    }
    try {
      return answer(await exchanges.get(text, request), 'entra');
    } catch (error) {
      const last = tokens.last(text);
      if (last === undefined || !(error instanceof BrokerError)) throw error;
      return answer(last, 'cache');
    }
  };
}

function identityOf({ identityOf: find }: FederatedMinterOptions, { namespace, name }: IdentityRow): Identity {
  const key = `${namespace}/${name}`;
  const identity = find(key);
  if (identity === undefined) throw new BrokerError('not_found', `AzureIdentity ${key} does not exist`);
  return identity;
}

/**
 * The source of the row does not count: while an identity is switched, requests under way end through the old one, and the record says whether the broker
 * can serve them.
 */
function requireAssigned({ namespace, name, state, reason }: IdentityRow): void {
  const why = `AzureIdentity ${namespace}/${name} is not assigned to this pod: ${reason ?? 'no reason is known'}`;
  if (state === 'Failed') throw new BrokerError('token_failed', why);
  if (state === 'Created') throw new BrokerError('not_ready', why, { retryAfterSeconds: 5 });
}

function principalOf({ events, rules }: FederatedMinterOptions, identity: Identity): FederatedPrincipal {
  try {
    return federatedPrincipalOf(identity, rules);
  } catch (error) {
    if (error instanceof InvalidIdentityError) events.record(regardingIdentity(identity), 'Warning', error.reason, error.message);
    throw error;
  }
}

interface Minted {
  identity: Identity;
  principal: FederatedPrincipal;
  token: ObtainedToken;
  source: 'entra' | 'cache';
}

/** One line for each token that a pod gets. Entra's sign-in log has the request id, and knows no pod. */
function audit(log: Logger, { pod, caller, resource }: TokenCall, { identity, principal, token, source }: Minted): void {
  log.info(
    {
      pod: pod.name,
      namespace: pod.namespace,
      serviceAccount: `${caller.namespace}/${caller.serviceAccount}`,
      identity: identity.key,
      resource,
      clientId: principal.clientId,
      tenantId: principal.tenantId,
      requestId: token.requestId,
      expires: token.expiresOn,
      source,
    },
    'federated token issued',
  );
}
