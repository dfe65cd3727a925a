// Who may do what: role assignments, deny assignments, and the linked check of the identities that a write assigns.
import type { Context } from '../core/handler.ts';
import type { Answer } from '../core/messages.ts';
import { effectOf, effectsOf } from '../faults/effects.ts';
import type { IdentityUpdate, State } from '../state/model.ts';
import { findIdentity, keyOf } from '../state/names.ts';
import type { Caller } from './authenticate.ts';
import { failure } from './errors.ts';
import { actionsOfRole } from './roles.ts';

const assignAction = 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action';

function matches(pattern: string, action: string): boolean {
  const [start = '', ...parts] = pattern.toLowerCase().split('*');
  const wanted = action.toLowerCase();
  if (parts.length === 0) return wanted === start;
  const end = parts.at(-1) ?? '';
  if (!wanted.startsWith(start) || !wanted.endsWith(end) || wanted.length < start.length + end.length) return false;
  let from = start.length;
  for (const part of parts.slice(0, -1)) {
    const found = wanted.indexOf(part, from);
    if (found < 0 || found + part.length > wanted.length - end.length) return false;
    from = found + part.length;
  }
  return true;
}

function covers(scope: string, id: string): boolean {
  const [outer, inner] = [keyOf(scope), keyOf(id)];
  return outer === '/' || inner === outer || inner.startsWith(`${outer}/`);
}

function isCaller(name: string, caller: Caller): boolean {
  return [caller.objectId, caller.appId, caller.resourceId].some((id) => id !== null && keyOf(id) === keyOf(name));
}

function mayDo(state: State, caller: Caller, action: string, id: string): boolean {
  const { roles } = state.config;
  if (roles === null) return true;
  return roles.some((role) => {
    const actions = [...role.actions, ...actionsOfRole(role.role)];
    return isCaller(role.principal, caller) && covers(role.scope, id) && actions.some((pattern) => matches(pattern, action));
  });
}

export const who = (caller: Caller): string => `The client '${caller.appId}' with object id '${caller.objectId}'`;

/** The 403 that forbids this action on this scope, or null. */
export function forbids(context: Context, caller: Caller, action: string, id: string): Answer | null {
  const { state, effects } = context;
  const denied = state.config.denyAssignments.find(
    (one) =>
      covers(one.scope, id) &&
      one.actions.some((pattern) => matches(pattern, action)) &&
      !one.except.some((name) => isCaller(name, caller)),
  );
  if (denied !== undefined || effectOf(effects, 'deny-assignment') !== null) {
    const [name, scope] = [denied?.name ?? 'node resource group lockdown', denied?.scope ?? id];
    const message = `${who(caller)} has permission to perform action '${action}' on scope '${id}'; however, the access is denied because of the deny assignment with name '${name}' at scope '${scope}'.`;
    return failure(403, 'DenyAssignmentAuthorizationFailed', message);
  }
  if (mayDo(state, caller, action, id) && effectOf(effects, 'forbidden') === null) return null;
  const message = `${who(caller)} does not have authorization to perform action '${action}' over scope '${id}' or the scope is invalid. If access was recently granted, please refresh your credentials.`;
  return failure(403, 'AuthorizationFailed', message);
}

/** The 403 that names every identity of a write that the caller may not assign, or null. */
export function forbidsAssigning(context: Context, caller: Caller, update: IdentityUpdate, action: string, id: string): Answer | null {
  const { state, effects } = context;
  const hidden = effectsOf(effects, 'role-missing').map((effect) =>
    keyOf(findIdentity(state.identities, effect.identity)?.id ?? effect.identity),
  );
  const wanted = Object.values(update.user).flatMap((entry) => (entry === null ? [] : [entry.id]));
  const offenders = wanted.filter((one) => hidden.includes(keyOf(one)) || !mayDo(state, caller, assignAction, one));
  if (offenders.length === 0) return null;
  const message = `${who(caller)} has permission to perform action '${action}' on scope '${id}'; however, it does not have permission to perform action(s) '${assignAction}' on the linked scope(s) '${offenders.join(',')}' (respectively) or the linked scope(s) are invalid.`;
  return failure(403, 'LinkedAuthorizationFailed', message);
}
