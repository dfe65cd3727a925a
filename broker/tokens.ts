// POST /v1/token for service principals (types 1 and 2): the controller signs in for the pod, so that no secret ever enters one.
import { hash } from 'node:crypto';
import type { INetworkModule } from '@azure/msal-node';
import type { TokenAnswer } from '../api/broker.ts';
import type { AzureIdentity } from '../api/kinds.ts';
import type { Granted, Material } from '../lib/azure/auth/application-token.ts';
import { applicationToken, EntraError } from '../lib/azure/auth/application-token.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { isNotFound, KubeError } from '../lib/kube/errors.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import { metadataOf } from '../lib/kube/objects.ts';
import { azureIdentities, resourcePath, secrets } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import { boundedCache } from './bounded-cache.ts';
import { Refusal } from './refusal.ts';
import { materialOf } from './secret-material.ts';
import type { ServicePrincipal, ServicePrincipalRules } from './service-principal.ts';
import { IdentityRefused, servicePrincipalOf } from './service-principal.ts';

export interface MinterOptions {
  client: KubeClient;
  log: Logger;
  events: Pick<EventRecorder, 'record'>;
  /** By `namespace/name`. */
  identityOf(key: string): AzureIdentity | undefined;
  rules: ServicePrincipalRules;
  network: INetworkModule;
  /** Milliseconds since the epoch. */
  now: () => number;
}

/** Everything that goes into a request but the tenant. */
interface Wish {
  identity: string;
  principal: ServicePrincipal;
  material: Material;
  /** Of the Secret: another one when it is rotated. */
  version: string;
  resource: string;
}

/** What is cached under a hash of everything that goes into a request. */
type Outcome = { granted: Granted; obtainedAt: number } | { refusal: Refusal };
type Answer = TokenAnswer | TokenAnswer[];

const cacheLimit = 2_000;
/** Sidecars refresh at half of a token's life; an older one would bring them back at once. */
const servedShare = 0.3;
/** Many pods of one broken identity are one client that loops, to Entra (AADSTS50196). */
const refusedMs = 10_000;

/** The returned function throws {@link Refusal}: status 400 where the identity or Entra says no, 503 where it may work later. */
export function createTokenMinter(options: MinterOptions): (identity: string, resource: string) => Promise<Answer> {
  const { client, log, now } = options;
  const outcomes = boundedCache<Outcome>(cacheLimit, now);
  const underWay = new Map<string, Promise<Outcome[]>>();

  async function secretOf({ secret, type }: ServicePrincipal): Promise<{ material: Material; version: string }> {
    const name = `Secret ${secret.namespace}/${secret.name}`;
    try {
      const raw = await client.call('GET', resourcePath(secrets, secret), { timeoutMs: 10_000 });
      const { uid = '', resourceVersion = '' } = metadataOf(raw);
      return { material: materialOf(type, raw), version: `${uid} ${resourceVersion}` };
    } catch (error) {
      const why = isNotFound(error) ? 'does not exist' : error instanceof Error ? error.message : String(error);
      log.warn({ secret: `${secret.namespace}/${secret.name}`, error: why }, 'Secret of an AzureIdentity not usable');
      // The API server's words could tell a pod what it has no right to know.
      const told = error instanceof KubeError && !isNotFound(error) ? 'cannot be read' : why;
      throw new Refusal('token_failed', `${name} ${told}`, { status: 503, retryAfterSeconds: 10 });
    }
  }

  async function signIn({ identity, principal, material, resource }: Wish, tenantId: string): Promise<Outcome> {
    const { authority, clientId } = principal;
    try {
      // The resource's own trailing slash stays: the audience would be another one without it (spec/azure-protocols.md 5).
      const scopes = [`${resource}/.default`];
      const granted = await applicationToken({ authority, tenantId, clientId, material, scopes, network: options.network });
      log.info({ identity, tenantId, clientId, resource, expires: granted.expiresOn }, 'token made');
      return { granted, obtainedAt: now() };
    } catch (error) {
      const status = error instanceof EntraError ? error.status : undefined;
      const isFinal = status !== undefined && status >= 400 && status < 500 && status !== 429;
      const message = error instanceof EntraError ? error.message : 'Entra cannot be reached';
      log.warn({ identity, tenantId, clientId, resource, status, error: message }, 'no token from Entra');
      return { refusal: new Refusal('token_failed', message, isFinal ? {} : { status: 503, retryAfterSeconds: refusedMs / 1000 }) };
    }
  }

  /** One outcome for each tenant. */
  async function mint(identity: string, resource: string): Promise<Outcome[]> {
    const principal = principalOf(identity);
    const { material, version } = await secretOf(principal);
    return Promise.all(principal.tenantIds.map((tenantId) => tokenFor({ identity, principal, material, version, resource }, tenantId)));
  }

  async function tokenFor(wish: Wish, tenantId: string): Promise<Outcome> {
    // Rotating the Secret or changing the identity is another key: the change counts at once.
    const key = hash('sha256', JSON.stringify([wish.principal, tenantId, wish.version, wish.resource]), 'base64');
    const known = outcomes.get(key);
    if (known !== undefined) return known;
    const outcome = await signIn(wish, tenantId);
    const life = 'granted' in outcome ? (outcome.granted.expiresOn.getTime() - outcome.obtainedAt) * servedShare : refusedMs;
    outcomes.set(key, outcome, now() + life);
    return outcome;
  }

  function principalOf(identity: string): ServicePrincipal {
    const object = options.identityOf(identity);
    if (object === undefined) throw new Refusal('not_found', `AzureIdentity ${identity} does not exist`);
    try {
      return servicePrincipalOf(object, options.rules);
    } catch (error) {
      if (error instanceof IdentityRefused) {
        const { namespace = '', name = '', uid } = object.metadata;
        const regarding = {
          apiVersion: `${azureIdentities.group}/${azureIdentities.version}`,
          kind: azureIdentities.kind,
          namespace,
          name,
          uid,
        };
        options.events.record(regarding, 'Warning', error.reason, error.message);
      }
      throw error;
    }
  }

  return async (identity, resource) => {
    // JSON, since both are free text that could otherwise run into each other.
    const request = JSON.stringify([identity, resource]);
    let running = underWay.get(request);
    if (running === undefined) {
      running = mint(identity, resource).finally(() => underWay.delete(request));
      underWay.set(request, running);
    }
    const clientId = options.identityOf(identity)?.spec?.clientID ?? '';
    const [own, ...auxiliary] = (await running).map((outcome) => {
      if ('refusal' in outcome) throw outcome.refusal;
      return answerOf(outcome.granted, outcome.obtainedAt, clientId, resource, now());
    });
    if (own === undefined) throw new Refusal('internal', 'no token was asked for');
    return auxiliary.length === 0 ? own : [own, ...auxiliary];
  };
}

function answerOf({ accessToken, expiresOn }: Granted, obtainedAt: number, clientId: string, resource: string, now: number): TokenAnswer {
  const seconds = (ms: number) => String(Math.floor(ms / 1000));
  const left = seconds(Math.max(0, expiresOn.getTime() - now));
  return {
    access_token: accessToken,
    client_id: clientId.trim(),
    expires_in: left,
    expires_on: seconds(expiresOn.getTime()),
    ext_expires_in: left,
    not_before: seconds(obtainedAt),
    resource,
    token_type: 'Bearer',
  };
}
