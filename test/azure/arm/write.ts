// PATCH and PUT of scale sets and virtual machines.
import type { Context, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { isRecord, json, parseJson } from '../core/messages.ts';
import { effectOf, effectsOf } from '../faults/effects.ts';
import type { ComputeResource, IdentityUpdate, Operation, Update } from '../state/model.ts';
import { findIdentity, keyOf } from '../state/names.ts';
import { identityType } from '../state/write.ts';
import type { Caller } from './authenticate.ts';
import { forbidsAssigning, who } from './authorize.ts';
import { badContent, conflict, failure, missingIdentity, notFound, preconditionFailed, throttledIdentity } from './errors.ts';
import { missingIdentities, readIdentityUpdate } from './identity.ts';
import { accept, running } from './operations.ts';
import { refusal } from './refusals.ts';
import { etagsSince, quoted, renderCompute } from './render.ts';
import type { Target } from './target.ts';
import { typeName } from './target.ts';

type ComputeTarget = Extract<Target, { kind: 'compute' }>;

function readUpdate(body: unknown, current: ComputeResource, replace: boolean): Update | { refused: Answer } {
  if (!isRecord(body)) return { refused: badContent('The request body must be a JSON object') };
  const identity = readIdentityUpdate(body.identity, replace ? 'None' : identityType(current.identity));
  if (identity !== null && 'refused' in identity) return identity;
  const sku = body.sku;
  const capacity = isRecord(sku) && sku.capacity !== undefined ? sku.capacity : null;
  if (capacity !== null && (typeof capacity !== 'number' || !Number.isInteger(capacity) || capacity < 0 || capacity > 1000)) {
    return { refused: failure(400, 'InvalidParameter', 'The value of parameter sku.capacity is invalid.', {}, 'sku.capacity') };
  }
  const tags = readTags(body.tags);
  if (tags !== null && 'refused' in tags) return tags;
  const wanted = identity ?? (replace ? ({ type: 'None', user: {} } as const) : null);
  return { identity: wanted, replace, capacity, tags: tags === null ? null : tags.value };
}

function readTags(value: unknown): { value: Record<string, string> } | null | { refused: Answer } {
  if (value === undefined || value === null) return null;
  if (!isRecord(value)) return { refused: badContent("Error converting value to a dictionary. Path 'tags'") };
  const entries = Object.entries(value).flatMap(([name, text]) => (typeof text === 'string' ? [[name, text] as const] : []));
  if (entries.length < Object.keys(value).length)
    return { refused: badContent("Error converting value to type 'System.String'. Path 'tags'") };
  return { value: Object.fromEntries(entries) };
}

/** If-Match and If-None-Match : the refusal, or null. */
function precondition(request: Incoming, context: Context, existing: ComputeResource | undefined, apiVersion: string): Answer | null {
  if (effectOf(context.effects, 'precondition-failed') !== null) {
    const etag = existing?.etag ?? 1;
    return preconditionFailed(request.headers['if-match'] ?? quoted(etag), quoted(etag + 1));
  }
  if (apiVersion < etagsSince) return null;
  const wanted = request.headers['if-match'];
  if (request.headers['if-none-match'] === '*' && existing !== undefined) {
    return failure(412, 'PreconditionFailed', 'The resource already exists, and the if-none-match header "*" asks that it does not.');
  }
  if (wanted === undefined || (wanted === '*' && existing !== undefined)) return null;
  const actual = existing === undefined ? 'null' : quoted(existing.etag);
  return wanted === actual ? null : preconditionFailed(wanted, actual);
}

function creation(target: ComputeTarget, body: unknown, now: number): ComputeResource | { refused: Answer } {
  const { id, subscription, group, name } = target;
  const location = isRecord(body) ? body.location : undefined;
  if (typeof location !== 'string' || location === '')
    return { refused: failure(400, 'LocationRequired', 'The location property is required for this definition.') };
  const properties = isRecord(body) && isRecord(body.properties) ? body.properties : {};
  const orchestration = target.of === 'virtualMachine' ? null : properties.orchestrationMode === 'Flexible' ? 'Flexible' : 'Uniform';
  const set = isRecord(properties.virtualMachineScaleSet) ? properties.virtualMachineScaleSet.id : null;
  const identity = { system: null, user: {} };
  return {
    kind: target.of,
    id,
    subscription,
    resourceGroup: group,
    name,
    location,
    orchestration,
    instances: [],
    scaleSet: typeof set === 'string' ? keyOf(set) : null,
    tags: {},
    identity,
    etag: 0,
    provisioningState: 'Creating',
    visible: [{ from: now, identity }],
  };
}

function operationUrls(origin: string, operation: Operation, location: string, apiVersion: string): { status: string; result: string } {
  const base = `${origin}/subscriptions/${operation.subscription}/providers/Microsoft.Compute/locations/${location}/operations/${operation.id}`;
  return { status: `${base}?api-version=${apiVersion}`, result: `${base}?monitor=true&api-version=${apiVersion}` };
}

function acceptedAnswer(
  request: Incoming,
  context: Context,
  operation: Operation | null,
  resource: ComputeResource,
  created: boolean,
  apiVersion: string,
): Answer {
  const { lro, retryAfterSeconds } = context.state.config.settings.arm;
  const body = renderCompute(context.state, resource, apiVersion);
  if (operation === null) return json(created ? 201 : 200, body);
  const urls = operationUrls(request.origin, operation, resource.location, apiVersion);
  const headers: Record<string, string> = {};
  if (lro !== '202+location') headers['azure-asyncoperation'] = urls.status;
  if (lro === '202+location' || lro === '202+async+location') headers.location = urls.result;
  if (retryAfterSeconds !== null) headers['retry-after'] = String(retryAfterSeconds);
  return json(created ? 201 : lro === '200+async' ? 200 : 202, body, headers);
}

export function writeCompute(request: Incoming, context: Context, target: ComputeTarget, caller: Caller, apiVersion: string): Outcome {
  const { state, effects } = context;
  const replace = request.method === 'PUT';
  const existing = state.resources.get(keyOf(target.id));
  if (existing === undefined && !replace) return only(notFound(typeName[target.of], target.name, target.group));
  const body = parseJson(request.body);
  const resource = existing ?? creation(target, body, context.now);
  if ('refused' in resource) return only(resource.refused);
  const update = readUpdate(body, resource, replace);
  if ('refused' in update) return only(update.refused);
  const action = `${typeName[target.of]}/write`;
  const refused = effectOf(effects, 'refusal');
  if (refused !== null) return only(refusal(refused.refusal, resource, { who: who(caller), type: typeName[target.of] }));
  const unlinked = update.identity === null ? null : forbidsAssigning(context, caller, update.identity, action, resource.id);
  const unmet = unlinked ?? precondition(request, context, existing, apiVersion);
  if (unmet !== null) return only(unmet);
  if (effectOf(effects, 'conflict') !== null) return only(conflict());
  if (state.config.settings.arm.concurrency === 'conflict' && running(state, keyOf(resource.id)).length > 0) return only(conflict());
  const slow = effectOf(effects, 'throttled-identity');
  if (slow !== null) return only(throttledIdentity(resource.id, slow.seconds));
  const hidden = effectsOf(effects, 'missing-identity').map((effect) =>
    keyOf(findIdentity(state.identities, effect.identity)?.id ?? effect.identity),
  );
  const missing =
    update.identity === null
      ? undefined
      : (missingIdentities(update.identity, state.identities, hidden)[0] ?? ghostOf(update.identity, resource, context));
  const failing = missing === undefined ? null : missingIdentity(resource.id, missing);
  if (failing !== null && state.config.settings.arm.missingIdentity === 'accept') return only(failure(400, failing.code, failing.message));
  if (update.identity !== null && leavesNone(update, resource)) {
    const message = "The identity ids must not be null or empty for 'UserAssigned' identity type.";
    return only(failure(400, 'InvalidParameter', message, {}, 'identity.userAssignedIdentities'));
  }
  const accepted = accept(state, resource, update, failing, context);
  return {
    answer: acceptedAnswer(request, context, accepted.operation, accepted.resource, existing === undefined, apiVersion),
    changes: accepted.changes,
  };
}

/** An attached identity that counts as deleted and that the write leaves attached. */
function ghostOf(update: IdentityUpdate, resource: ComputeResource, { state, effects }: Context): string | undefined {
  if (!update.type.includes('UserAssigned')) return undefined;
  return effectsOf(effects, 'ghost')
    .flatMap(({ identity }) =>
      identity === null
        ? Object.values(resource.identity.user).map(({ id }) => id)
        : [findIdentity(state.identities, identity)?.id ?? identity],
    )
    .find((id) => resource.identity.user[keyOf(id)] !== undefined && update.user[keyOf(id)] !== null);
}

/** The type says user-assigned, and the map leaves none. */
function leavesNone(update: Update, resource: ComputeResource): boolean {
  if (update.identity === null || !update.identity.type.includes('UserAssigned')) return false;
  const { user } = update.identity;
  const kept = update.replace ? [] : Object.keys(resource.identity.user).filter((key) => user[key] !== null);
  return kept.length === 0 && Object.values(user).every((entry) => entry === null);
}
