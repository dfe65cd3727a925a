// The federated credentials of a user-assigned identity: whose tokens Entra exchanges for tokens of the identity
// (docs/reference/arm.md#federated-credentials). The calls answer at once; there are no operations to follow.

import { identityIdForm, identityIdOf } from '../../../lib/azure/resource-ids.ts';
import { isRecord, stringAt } from '../../../lib/kube/objects.ts';
import type { ArmRequest, Send } from './client.ts';
import type { Answer, RequestIds } from './errors.ts';
import { ArmError, errorOf } from './errors.ts';
import type { FederationRefusal, FederationRefusalCode } from './federation-refusals.ts';
import { federationRefusalOf, recogniseFederation } from './federation-refusals.ts';
import type { CallKind, Gated, Gates } from './gates.ts';

/** What a federated credential trusts. Azure compares all three exactly. */
export interface FederatedTrust {
  readonly issuer: string;
  readonly subject: string;
  readonly audiences: readonly string[];
}

export interface FederatedCredential extends FederatedTrust {
  /** Unique in its identity, compared without case. */
  readonly name: string;
}

/** Made anew with the identity: one that is deleted and created again under its name has others. */
export interface IdentityIds {
  readonly clientId: string;
  readonly tenantId: string;
  /** The object id of tokens. */
  readonly principalId: string;
}

/**
 * `identity` is a resource id in any case. Every function throws {@link FederationError}, or the reason of the signal. A call within a wait that Azure
 * asked for, and a write too soon after the last one of the same identity, throws `throttled` without being made.
 */
export interface FederatedCredentials {
  getIdentity(identity: string, signal?: AbortSignal): Promise<IdentityIds>;
  list(identity: string, signal?: AbortSignal): Promise<readonly FederatedCredential[]>;
  /** Creates the credential of this name, or replaces it. */
  put(identity: string, name: string, trust: FederatedTrust, signal?: AbortSignal): Promise<void>;
  /** Done also where there is no such credential, or no such identity. */
  remove(identity: string, name: string, signal?: AbortSignal): Promise<void>;
}

/** Why a call failed. */
export class FederationError extends Error {
  override readonly name = 'FederationError';
  readonly code: FederationRefusalCode;
  /** Set for `throttled`, and where Azure names a wait. */
  readonly retryAfterSeconds: number | undefined;
  /** The action that a missing role does not allow, where Azure names it. */
  readonly action: string | undefined;
  /** HTTP status; undefined where none was answered. */
  readonly status: number | undefined;
  /** Azure's own code. */
  readonly azureCode: string | undefined;
  readonly ids: RequestIds;

  /** What users read, when the call is made again, and what a person is to do. */
  get refusal(): FederationRefusal {
    return federationRefusalOf(this.code);
  }

  constructor(
    code: FederationRefusalCode,
    message: string,
    about: { retryAfterSeconds?: number | undefined; action?: string | undefined; answer?: ArmError } = {},
  ) {
    super(message);
    this.code = code;
    this.retryAfterSeconds = about.retryAfterSeconds;
    this.action = about.action;
    this.status = about.answer?.status;
    this.azureCode = about.answer?.azureCode;
    this.ids = about.answer?.ids ?? {};
  }
}

export interface FederatedCredentialsOptions {
  send: Send;
  gates: Gates;
  /** Origin that further pages of a list may be read from. */
  resourceManager: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** The oldest stable version that has federated credentials, so that a cloud that lags knows it too. */
const apiVersion = '2023-01-31';
/** The rate of writes that one identity allows is 0.25 a second (docs/reference/arm.md#federated-credentials). */
const secondsBetweenWrites = 4;
/** More than 20 credentials can fill. */
const mostPages = 20;

export function createFederatedCredentials(options: FederatedCredentialsOptions): FederatedCredentials {
  const { send, gates, now } = options;

  async function call(resource: Gated, kind: CallKind, request: ArmRequest): Promise<Answer> {
    const waitMs = gates.waitMs(resource, kind);
    if (waitMs > 0) {
      const retryAfterSeconds = Math.ceil(waitMs / 1000);
      throw new FederationError('throttled', `not asked: the next ${kind} of the identity may be in ${retryAfterSeconds} s`, {
        retryAfterSeconds,
      });
    }
    if (kind === 'write')
      gates.close(resource, kind, { code: 'throttled', of: 'scope', retryAfterSeconds: secondsBetweenWrites, source: 'gate' });
    const answer = await answered(request);
    if (answer.status < 400) return answer;
    const error = errorOf(answer, new Date(now()));
    if (error.failure.code === 'throttled') gates.close(resource, kind, error.failure);
    throw federationErrorOf(error);
  }

  async function answered(request: ArmRequest): Promise<Answer> {
    try {
      return await send(request);
    } catch (error) {
      throw error instanceof ArmError ? federationErrorOf(error) : error;
    }
  }

  /** Throws for a link to another host: the token goes with the call. */
  function nextPage(answer: Answer): string | undefined {
    const link = stringAt(answer.body, 'nextLink');
    if (link === undefined || link === '') return undefined;
    if (URL.canParse(link) && new URL(link).origin === new URL(options.resourceManager).origin) return link;
    throw unexpected('a list that goes on at another host');
  }

  return {
    async getIdentity(identity, signal) {
      const resource = resourceOf(identity);
      return idsOf(await call(resource, 'read', { method: 'GET', url: urlOf(resource), signal }));
    },

    async list(identity, signal) {
      const resource = resourceOf(identity);
      const credentials: FederatedCredential[] = [];
      let url: string | undefined = urlOf(resource, collection);
      for (let page = 0; url !== undefined; page += 1) {
        if (page === mostPages) throw unexpected('a list without an end');
        const answer: Answer = await call(resource, 'read', { method: 'GET', url, signal });
        credentials.push(...credentialsOf(answer));
        url = nextPage(answer);
      }
      return credentials;
    },

    async put(identity, name, { issuer, subject, audiences }, signal) {
      const resource = resourceOf(identity);
      const body = { properties: { issuer, subject, audiences } };
      await call(resource, 'write', { method: 'PUT', url: urlOf(resource, `${collection}/${encodeURIComponent(name)}`), body, signal });
    },

    async remove(identity, name, signal) {
      const resource = resourceOf(identity);
      try {
        await call(resource, 'write', { method: 'DELETE', url: urlOf(resource, `${collection}/${encodeURIComponent(name)}`), signal });
      } catch (error) {
        if (!(error instanceof FederationError && error.code === 'identityNotFound')) throw error;
      }
    },
  };
}

const collection = '/federatedIdentityCredentials';

function resourceOf(identity: string): Gated {
  const id = identityIdOf(identity);
  if (id === undefined) throw new TypeError(`'${identity}' is not the id of a user-assigned identity: accepted is ${identityIdForm}`);
  return { id, subscription: id.split('/')[2] ?? '' };
}

const urlOf = ({ id }: Gated, below = ''): string => `${id}${below}?api-version=${apiVersion}`;

/** Of an error that Resource Manager answered, or of a call without an answer. */
function federationErrorOf(error: ArmError): FederationError {
  const { failure, message, status, azureCode = '' } = error;
  const retryAfterSeconds = 'retryAfterSeconds' in failure ? failure.retryAfterSeconds : undefined;
  const action = 'action' in failure ? failure.action : undefined;
  const unanswered = failure.code === 'signInFailed' ? 'signInFailed' : 'transient';
  const code = status === undefined ? unanswered : recogniseFederation({ status, azureCode, text: message });
  return new FederationError(code, message, { retryAfterSeconds, action, answer: error });
}

const unexpected = (what: string): FederationError => new FederationError('transient', `Azure answered ${what}`);

function idsOf({ body }: Answer): IdentityIds {
  const [clientId, tenantId, principalId] = ['clientId', 'tenantId', 'principalId'].map((key) => stringAt(body, 'properties', key));
  if (!clientId || !tenantId || !principalId) throw unexpected('something else than the identity');
  return { clientId, tenantId, principalId };
}

function credentialsOf({ body }: Answer): FederatedCredential[] {
  // Anything that is not clearly a list must not pass for an empty one: the credential would be created again, or taken for gone.
  if (!isRecord(body) || !Array.isArray(body.value)) throw unexpected('something else than the list of federated credentials');
  return body.value.map((item: unknown) => {
    const name = stringAt(item, 'name');
    const issuer = stringAt(item, 'properties', 'issuer');
    const subject = stringAt(item, 'properties', 'subject');
    const properties = isRecord(item) && isRecord(item.properties) ? item.properties : {};
    if (name === undefined || issuer === undefined || subject === undefined || !Array.isArray(properties.audiences))
      throw unexpected('a federated credential without name, issuer, subject or audiences');
    return { name, issuer, subject, audiences: properties.audiences.filter((one: unknown) => typeof one === 'string') };
  });
}
