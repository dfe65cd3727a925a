// Long-running operations: accepted now, completed at their end time. Each request asks for the time and nothing waits for it, so a jump of the clock ends
// operations.

import { drawFrom, drawGuid } from '../core/random.ts';
import { resize } from '../faults/actions.ts';
import type { Effect } from '../faults/effects.ts';
import { effectOf } from '../faults/effects.ts';
import { systemIdentity } from '../state/document.ts';
import type { AttachedIdentities, Change, ComputeResource, Operation, ServiceError, State, Update } from '../state/model.ts';
import { keyOf } from '../state/names.ts';
import { mergeIdentity } from './identity.ts';

function withUpdate(state: State, resource: ComputeResource, identity: AttachedIdentities, update: Update): AttachedIdentities {
  if (update.identity === null) return identity;
  const system = systemIdentity(resource.id, state.config.defaults.tenant);
  return mergeIdentity(identity, update.identity, { replace: update.replace, identities: state.identities, system });
}

export function running(state: State, key: string): Operation[] {
  return [...state.operations.values()].filter((operation) => operation.resource === key && operation.status === 'InProgress');
}

function lastVisible(resource: ComputeResource): AttachedIdentities {
  return resource.visible.at(-1)?.identity ?? resource.identity;
}

/** IMDS learns of the new identities after the propagation delay, in the order of the operations. */
function propagate(state: State, resource: ComputeResource, update: Update, now: number, random: () => number): ComputeResource['visible'] {
  if (update.identity === null) return resource.visible;
  const from = Math.max(now + drawFrom(state.config.settings.propagationMs, random), resource.visible.at(-1)?.from ?? 0);
  // Nothing reads what was replaced before now. (A clock that is set back sees the present.)
  const current = resource.visible.findLastIndex((entry) => entry.from <= now);
  return [...resource.visible.slice(Math.max(0, current)), { from, identity: withUpdate(state, resource, lastVisible(resource), update) }];
}

function finished(
  state: State,
  resource: ComputeResource,
  update: Update,
  options: { appliedBefore: boolean; bump: boolean; busy: boolean; now: number; random: () => number },
): ComputeResource {
  const { now, random } = options;
  return {
    ...resource,
    identity: options.appliedBefore ? resource.identity : withUpdate(state, resource, resource.identity, update),
    instances:
      update.capacity === null || resource.orchestration !== 'Uniform' ? resource.instances : resize(resource.instances, update.capacity),
    tags: update.tags ?? resource.tags,
    provisioningState: options.busy ? 'Updating' : 'Succeeded',
    etag: resource.etag + (options.bump ? 1 : 0),
    visible: propagate(state, resource, update, now, random),
  };
}

/** The identities without the operation, which did not succeed. */
function undone(resource: ComputeResource, operation: Operation, alone: boolean): AttachedIdentities {
  const { before, update } = operation;
  if (before === null || update.identity === null) return resource.identity;
  if (alone) return before;
  const user = { ...resource.identity.user };
  for (const key of Object.keys(update.identity.user)) {
    const earlier = before.user[key];
    if (earlier === undefined) delete user[key];
    else user[key] = earlier;
  }
  return { ...resource.identity, user };
}

function end(state: State, operation: Operation, status: Operation['end'], at: number, random: () => number): Change[] {
  const done: Change = {
    table: 'operations',
    key: operation.id,
    value: { ...operation, status: status.status, finishedAt: at, end: status },
  };
  const resource = state.resources.get(operation.resource);
  if (resource === undefined) return [done];
  const busy = running(state, operation.resource).length > 1;
  const bump = state.config.settings.arm.etagBump !== 'accept';
  const value =
    status.status === 'Succeeded'
      ? finished(state, resource, operation.update, { appliedBefore: operation.before !== null, bump, busy, now: at, random })
      : {
          ...resource,
          identity: undone(resource, operation, !busy),
          provisioningState: busy ? 'Updating' : status.status,
          etag: resource.etag + (bump ? 1 : 0),
        };
  return [done, { table: 'resources', key: operation.resource, value }];
}

export type Accepted = { readonly operation: Operation | null; readonly resource: ComputeResource; readonly changes: readonly Change[] };

/** Accepts a write: the resource as it is from now on, and the operation; null where the service answers after the write is complete. */
export function accept(
  state: State,
  resource: ComputeResource,
  update: Update,
  failing: ServiceError | null,
  context: { now: number; random: () => number; effects: readonly Effect[] },
): Accepted {
  const { now, random, effects } = context;
  const key = keyOf(resource.id);
  const { arm } = state.config.settings;
  if (arm.lro === '200' && failing === null) {
    const value = finished(state, resource, update, { appliedBefore: false, bump: true, busy: false, now, random });
    return { operation: null, resource: value, changes: [{ table: 'resources', key, value }] };
  }
  let current = resource;
  const changes: Change[] = [];
  const others = running(state, key);
  if (arm.concurrency === 'preempt') {
    for (const older of others) {
      const error = { code: 'OperationPreempted', message: `Operation '${older.id}' has been preempted by a more recent operation.` };
      changes.push({
        table: 'operations',
        key: older.id,
        value: { ...older, status: 'Canceled', finishedAt: now, end: { status: 'Canceled', error } },
      });
      current = { ...current, identity: undone(current, older, others.length === 1) };
    }
  }
  const fault = effectOf(effects, 'operation');
  const length = fault === null ? arm.operationMs[resource.kind] : fault.ms;
  const ahead = arm.concurrency === 'preempt' ? [] : others;
  const start = ahead.some((other) => other.endsAt === null) ? null : Math.max(now, ...ahead.map((other) => other.endsAt ?? 0));
  const applies = arm.identityVisible === 'accept' && failing === null;
  const operation: Operation = {
    id: drawGuid(random),
    resource: key,
    subscription: resource.subscription,
    startedAt: now,
    endsAt: start === null || length === null ? null : start + drawFrom(length, random),
    status: 'InProgress',
    finishedAt: null,
    end:
      failing !== null
        ? { status: 'Failed', error: failing }
        : fault === null
          ? { status: 'Succeeded', error: null }
          : { status: fault.end, error: fault.error },
    update,
    before: applies ? current.identity : null,
  };
  const value = {
    ...current,
    identity: applies ? withUpdate(state, current, current.identity, update) : current.identity,
    provisioningState: 'Updating',
    etag: current.etag + (arm.etagBump === 'completion' ? 0 : 1),
  };
  changes.push(...forgotten(state), { table: 'resources', key, value }, { table: 'operations', key: operation.id, value: operation });
  return { operation, resource: value, changes };
}

/** Bounds the number of operations that can be asked for. */
function forgotten(state: State): Change[] {
  if (state.operations.size < 5000) return [];
  for (const [key, operation] of state.operations)
    if (operation.status !== 'InProgress') return [{ table: 'operations', key, value: null }];
  return [];
}

/** The next change that is due by `now`, or null: an operation ends, or an old one is dropped. */
export function settle(state: State, now: number, random: () => number): { changes: readonly Change[]; at: number } | null {
  let due: Operation | null = null;
  for (const operation of state.operations.values()) {
    if (operation.status === 'InProgress') {
      if (operation.endsAt !== null && operation.endsAt <= now && (due?.endsAt ?? Number.POSITIVE_INFINITY) > operation.endsAt)
        due = operation;
    } else if ((operation.finishedAt ?? now) + state.config.settings.arm.operationRetentionSeconds * 1000 < now) {
      return { changes: [{ table: 'operations', key: operation.id, value: null }], at: now };
    }
  }
  if (due === null || due.endsAt === null) return null;
  return { changes: end(state, due, due.end, due.endsAt, random), at: due.endsAt };
}
