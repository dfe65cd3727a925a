// Federated credentials of a user-assigned identity as resources. docs/reference/arm.md#federated-credentials
import type { Context, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { isRecord, json, parseJson } from '../core/messages.ts';
import { drawFrom } from '../core/random.ts';
import { effectOf } from '../faults/effects.ts';
import { credentialNamed, withCredential, withoutCredential } from '../state/credentials.ts';
import type { FederatedCredential, State, UserAssignedIdentity } from '../state/model.ts';
import { keyOf } from '../state/names.ts';
import type { Caller } from './authenticate.ts';
import { who } from './authorize.ts';
import { badContent, failure } from './errors.ts';
import { refusal } from './refusals.ts';
import type { Target } from './target.ts';

type CredentialTarget = Extract<Target, { kind: 'credential' }>;

export const credentialType = 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials';

const limit = 20;
const longestText = 600;
const namePattern = /^[a-zA-Z0-9][a-zA-Z0-9_-]{2,119}$/;

const badRequest = (message: string): Answer => failure(400, 'BadRequest', message);
const nothing: Answer = { status: 204, headers: {}, body: '' };

function render(identity: UserAssignedIdentity, { name, issuer, subject, audiences }: FederatedCredential): Record<string, unknown> {
  const id = `${identity.id}/federatedIdentityCredentials/${name}`;
  return { id, name, type: credentialType, properties: { issuer, subject, audiences } };
}

function page(request: Incoming, state: State, identity: UserAssignedIdentity): Answer {
  const size = state.config.settings.arm.credentialPageSize || identity.federated.length;
  const token = request.query.get('$skiptoken') ?? '0';
  const start = /^\d{1,4}$/.test(token) ? Number(token) : 0;
  const value = identity.federated.slice(start, start + size).map((one) => render(identity, one));
  const rest = identity.federated.length > start + size;
  const version = request.query.get('api-version') ?? '';
  const nextLink = `${request.origin}${request.path}?api-version=${version}&%24skiptoken=${start + size}`;
  return json(200, { value, ...(rest ? { nextLink } : {}) });
}

function readCredential(name: string, body: unknown): FederatedCredential | { refused: Answer } {
  const refused = (answer: Answer) => ({ refused: answer });
  if (!namePattern.test(name))
    return refused(badRequest(`The federated identity credential name '${name}' does not match '^[a-zA-Z0-9]{1}[a-zA-Z0-9-_]{2,119}$'.`));
  if (!isRecord(body) || !isRecord(body.properties)) return refused(badContent("The request body must have 'properties'"));
  const { issuer, subject, audiences } = body.properties;
  if (typeof issuer !== 'string' || issuer === '' || typeof subject !== 'string' || subject === '')
    return refused(badRequest("The properties 'issuer' and 'subject' are required."));
  const texts = Array.isArray(audiences) ? audiences.filter((one: unknown) => typeof one === 'string') : [];
  if (!Array.isArray(audiences) || texts.length === 0 || texts.length < audiences.length)
    return refused(badRequest("The property 'audiences' must be a list of at least one string."));
  const long = [issuer, subject, ...texts].find((one) => one.length > longestText);
  if (long !== undefined) return refused(badRequest(`The value '${long.slice(0, 40)}...' is longer than ${longestText} characters.`));
  return { name, issuer, subject, audiences: texts };
}

/** Why this identity cannot get this credential, or null. */
function unmet(state: State, identity: UserAssignedIdentity, wanted: FederatedCredential): Answer | null {
  const { regionsWithoutFederation } = state.config.settings.arm;
  if (regionsWithoutFederation.some((region) => keyOf(region) === keyOf(identity.location)))
    return failure(400, 'MethodNotAllowed', 'The request format was unexpected : Support for federated identity credentials not enabled');
  const others = identity.federated.filter(({ name }) => keyOf(name) !== keyOf(wanted.name));
  if (others.some(({ issuer, subject }) => issuer === wanted.issuer && subject === wanted.subject))
    return failure(409, 'Conflict', 'Issuer and subject combination already exists for this Managed Identity.');
  if (others.length >= limit) return badRequest(`A maximum of ${limit} federated identity credentials can be added to a managed identity.`);
  return null;
}

function concurrent(context: Context, identity: UserAssignedIdentity): Answer | null {
  if (effectOf(context.effects, 'concurrent-credentials') === null && context.now >= identity.writingUntil) return null;
  const message = `Too many Federated Identity Credentials are written concurrently for the managed identity '${keyOf(identity.id)}'. Concurrent Federated Identity Credentials writes under the same managed identity are not supported.`;
  return failure(409, 'ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity', message);
}

function write(
  request: Incoming,
  context: Context,
  target: CredentialTarget & { credential: string },
  identity: UserAssignedIdentity,
): Outcome {
  const { state, now, random } = context;
  const timing = { now, random, settings: state.config.settings };
  const known = credentialNamed(identity, target.credential);
  const delayMs = drawFrom(timing.settings.arm.credentialWriteMs, random);
  const written = (answer: Answer, value: UserAssignedIdentity): Outcome => ({
    answer,
    changes: [{ table: 'identities', key: keyOf(identity.id), value: { ...value, writingUntil: now + delayMs } }],
    delayMs,
  });
  const busy = concurrent(context, identity);
  if (request.method === 'DELETE') {
    if (busy !== null) return only(busy);
    if (known === undefined) return only(nothing);
    return written({ status: 200, headers: {}, body: '' }, withoutCredential(identity, known.name, timing));
  }
  const wanted = readCredential(target.credential, parseJson(request.body));
  if ('refused' in wanted) return only(wanted.refused);
  const refused = unmet(state, identity, wanted) ?? busy;
  if (refused !== null) return only(refused);
  // A name keeps the case that it was created with.
  const credential = { ...wanted, name: known?.name ?? wanted.name };
  return written(json(known === undefined ? 201 : 200, render(identity, credential)), withCredential(identity, credential, timing));
}

/** `caller` may do it. */
export function onCredentials(request: Incoming, context: Context, target: CredentialTarget, caller: Caller): Outcome {
  const { state, effects } = context;
  const identity = state.identities.get(keyOf(target.identity));
  const { credential } = target;
  if (identity === undefined) {
    const message = `Can not perform requested operation on nested resource. Parent resource '${target.name}' not found.`;
    return only(failure(404, 'ParentResourceNotFound', message));
  }
  if (credential === null) return only(page(request, state, identity));
  const known = credentialNamed(identity, credential);
  if (request.method === 'GET') {
    const missing = `The Resource '${credentialType}/${credential}' of the managed identity '${target.name}' was not found.`;
    return only(known === undefined ? failure(404, 'ResourceNotFound', missing) : json(200, render(identity, known)));
  }
  const refused = effectOf(effects, 'refusal');
  if (refused !== null) {
    const resource = { id: identity.id, name: target.name, subscription: target.subscription, resourceGroup: target.group };
    return only(refusal(refused.refusal, resource, { who: who(caller), type: credentialType }));
  }
  return write(request, context, { ...target, credential }, identity);
}
