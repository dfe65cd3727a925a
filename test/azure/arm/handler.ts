// Azure Resource Manager: authentication, budgets, routing, reads.
import type { Context, Handler, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { json } from '../core/messages.ts';
import { drawGuid, guidOf } from '../core/random.ts';
import { effectOf } from '../faults/effects.ts';
import type { ComputeResource, Operation, State } from '../state/model.ts';
import { keyOf } from '../state/names.ts';
import type { Caller } from './authenticate.ts';
import { authenticate } from './authenticate.ts';
import { forbids } from './authorize.ts';
import { credentialType, onCredentials } from './credentials.ts';
import { failure, notFound, throttled, unauthenticated } from './errors.ts';
import { renderCompute, renderInstance, renderUserAssigned } from './render.ts';
import type { Target } from './target.ts';
import { targetOf, typeName } from './target.ts';
import { charge } from './throttle.ts';
import { writeCompute } from './write.ts';

const identityType = 'Microsoft.ManagedIdentity/userAssignedIdentities';

/** Any date from the oldest version with identity maps on. */
function apiVersionProblem(request: Incoming, state: State): Answer | null {
  const given = request.query.get('api-version');
  if (given === null || given === '')
    return failure(400, 'MissingApiVersionParameter', 'The api-version query parameter (?api-version=) is required for all requests.');
  const oldest = state.config.settings.arm.oldestApiVersion;
  const date = /^\d{4}-\d{2}-\d{2}(-preview)?$/.test(given) && !Number.isNaN(Date.parse(given.slice(0, 10)));
  if (date && given.slice(0, 10) >= oldest) return null;
  const supported = [oldest, '2022-03-01', '2024-03-01', '2025-04-01', '2026-04-01'].filter((version) => version >= oldest);
  return failure(
    400,
    'InvalidApiVersionParameter',
    `The api-version '${given}' is invalid. The supported versions are '${supported.join(',')}'.`,
  );
}

function readOperation(request: Incoming, state: State, operation: Operation | undefined, apiVersion: string): Answer {
  if (operation === undefined) return failure(404, 'NotFound', 'The operation was not found: its id is wrong or it has expired.');
  const { retryAfterSeconds } = state.config.settings.arm;
  const wait = retryAfterSeconds === null || operation.status !== 'InProgress' ? {} : { 'retry-after': String(retryAfterSeconds) };
  if (request.query.get('monitor') === 'true') {
    if (operation.status === 'InProgress')
      return { status: 202, headers: { location: `${request.origin}${request.target}`, ...wait }, body: '' };
    if (operation.end.error !== null) return failure(409, operation.end.error.code, operation.end.error.message);
    const resource = state.resources.get(operation.resource);
    return resource === undefined ? { status: 204, headers: {}, body: '' } : json(200, renderCompute(state, resource, apiVersion));
  }
  const { id: name, startedAt, finishedAt, status, end } = operation;
  const ended = finishedAt === null ? {} : { endTime: new Date(finishedAt).toISOString() };
  const error = status === 'InProgress' || end.error === null ? {} : { error: end.error };
  return json(200, { name, startTime: new Date(startedAt).toISOString(), ...ended, status, ...error }, wait);
}

function inScope(resource: { id: string }, scope: string): boolean {
  return keyOf(resource.id).startsWith(`${keyOf(scope)}/`);
}

function readInstances(state: State, target: Extract<Target, { kind: 'instance' }>, set: ComputeResource, apiVersion: string): Answer {
  const { instance } = target;
  if (instance === null) return json(200, { value: set.instances.map((one) => renderInstance(state, set, one, apiVersion)) });
  if (set.instances.includes(instance)) return json(200, renderInstance(state, set, instance, apiVersion));
  return failure(404, 'InstanceIdNotFound', `The instance id ${instance} of scale set '${set.name}' was not found.`);
}

function onIdentity(request: Incoming, context: Context, target: Extract<Target, { kind: 'identity' }>): Outcome {
  const { state } = context;
  const key = keyOf(target.id);
  const known = state.identities.get(key);
  if (request.method === 'DELETE') {
    return known === undefined
      ? only({ status: 204, headers: {}, body: '' })
      : { answer: { status: 200, headers: {}, body: '' }, changes: [{ table: 'identities', key, value: null }] };
  }
  if (request.method === 'PUT') {
    const made = {
      id: target.id,
      clientId: drawGuid(context.random),
      principalId: drawGuid(context.random),
      tenantId: state.config.defaults.tenant,
      location: state.config.defaults.location,
      federated: [],
      trusts: [],
      writingUntil: 0,
      disabled: false,
      blocked: false,
    };
    const value = known ?? made;
    return {
      answer: json(known === undefined ? 201 : 200, renderUserAssigned(value)),
      changes: known === undefined ? [{ table: 'identities', key, value }] : [],
    };
  }
  return only(known === undefined ? notFound(identityType, target.name, target.group) : json(200, renderUserAssigned(known)));
}

type Guarded = Exclude<Target, { kind: 'endpoints' | 'operation' }>;

/** The permission a request needs, and on which scope; null where the method means nothing there. */
function needs(target: Guarded, method: string): { action: string; scope: string } | null {
  const verb = { GET: 'read', PUT: 'write', PATCH: 'write', DELETE: 'delete' }[method];
  if (verb === undefined) return null;
  switch (target.kind) {
    case 'compute':
      return verb === 'delete' ? null : { action: `${typeName[target.of]}/${verb}`, scope: target.id };
    case 'identity':
      return method === 'PATCH' ? null : { action: `${identityType}/${verb}`, scope: target.id };
    case 'credential':
      if (method === 'PATCH' || (target.credential === null && verb !== 'read')) return null;
      return {
        action: `${credentialType}/${verb}`,
        scope: target.credential === null ? target.identity : `${target.identity}/federatedIdentityCredentials/${target.credential}`,
      };
    case 'instance':
      return verb === 'read' ? { action: `${typeName.scaleSet}/virtualMachines/read`, scope: target.set } : null;
    case 'computeList':
      return verb === 'read' ? { action: `${typeName[target.of]}/read`, scope: target.scope } : null;
    case 'identityList':
      return verb === 'read' ? { action: `${identityType}/read`, scope: target.scope } : null;
    default:
      return target satisfies never;
  }
}

function answerTarget(request: Incoming, context: Context, target: Guarded, caller: Caller, apiVersion: string): Outcome {
  const { state } = context;
  const needed = needs(target, request.method);
  if (needed === null)
    return only(
      failure(405, 'MethodNotAllowed', `The method ${request.method} is not supported for this resource.`, { allow: 'GET, PUT, PATCH' }),
    );
  const forbidden = forbids(context, caller, needed.action, needed.scope);
  if (forbidden !== null) return only(forbidden);
  const list = (values: readonly unknown[]) => only(json(200, { value: values }));
  switch (target.kind) {
    case 'computeList': {
      const found = [...state.resources.values()].filter((one) => one.kind === target.of && inScope(one, target.scope));
      return list(found.map((one) => renderCompute(state, one, apiVersion)));
    }
    case 'identityList':
      return list([...state.identities.values()].filter((one) => inScope(one, target.scope)).map(renderUserAssigned));
    case 'identity':
      return onIdentity(request, context, target);
    case 'credential':
      return onCredentials(request, context, target, caller);
    case 'instance': {
      const set = state.resources.get(keyOf(target.set));
      return only(
        set === undefined ? notFound(typeName.scaleSet, target.name, target.group) : readInstances(state, target, set, apiVersion),
      );
    }
    case 'compute': {
      if (request.method !== 'GET') return writeCompute(request, context, target, caller, apiVersion);
      const found = state.resources.get(keyOf(target.id));
      return only(
        found === undefined ? notFound(typeName[target.of], target.name, target.group) : json(200, renderCompute(state, found, apiVersion)),
      );
    }
    default:
      return target satisfies never;
  }
}

function answerCaller(request: Incoming, context: Context, caller: Caller): Outcome {
  const { state, now, effects } = context;
  const badVersion = apiVersionProblem(request, state);
  if (badVersion !== null) return only(badVersion);
  const apiVersion = request.query.get('api-version') ?? '';
  const target = targetOf(request);
  if (target === null || target.kind === 'endpoints')
    return only(failure(404, 'InvalidResourceType', `The resource type could not be found for the path '${request.path}'.`));
  const forced = effectOf(effects, 'throttled');
  if (forced !== null) return only(throttled(forced.retryAfter));
  const charged = charge(state, target, request.method, caller.objectId, now);
  const answered =
    charged.retryAfter !== null
      ? only(throttled(charged.retryAfter))
      : target.kind === 'operation'
        ? only(readOperation(request, state, state.operations.get(keyOf(target.id)), apiVersion))
        : answerTarget(request, context, target, caller, apiVersion);
  const { answer, changes } = answered;
  return {
    ...answered,
    answer: { ...answer, headers: { ...charged.headers, ...answer.headers } },
    changes: [...charged.changes, ...changes],
  };
}

/** The document by which clients discover Azure Stack and custom clouds; the only one that needs no token. */
function endpoints(request: Incoming, { state, entraUrl }: Context): Answer {
  const authentication = { loginEndpoint: `${entraUrl}/`, audiences: state.config.settings.arm.audiences };
  return json(200, { galleryEndpoint: '', graphEndpoint: '', portalEndpoint: request.origin, authentication });
}

export const armHandler: Handler = (request, context) => {
  const outcome = answerRequest(request, context);
  const id = request.headers['x-ms-client-request-id'] ?? guidOf(`${context.now} ${request.target}`);
  const traced = { 'x-ms-request-id': drawGuid(context.random), 'x-ms-correlation-request-id': id, 'cache-control': 'no-cache' };
  const { answer } = outcome;
  return { ...outcome, answer: { ...answer, headers: { ...traced, ...answer.headers } } };
};

function answerRequest(request: Incoming, context: Context): Outcome {
  if (targetOf(request)?.kind === 'endpoints' && request.method === 'GET') return only(endpoints(request, context));
  if (effectOf(context.effects, 'unauthorized') !== null)
    return only(unauthenticated('ExpiredAuthenticationToken', 'The access token expiry is in the past: the token has expired.'));
  const caller = authenticate(request, context);
  return 'refused' in caller ? only(caller.refused) : answerCaller(request, context, caller);
}
