import type { Incoming } from '../core/messages.ts';
import { isRecord, parseJson } from '../core/messages.ts';
import type { State, UserAssignedIdentity } from '../state/model.ts';
import { findIdentity } from '../state/names.ts';
import { targetOf } from './target.ts';

/** What faults can be aimed at: the resource (for an operation, the one it works on) and the identities a write names, by all their ids. */
export function describeArm(request: Incoming, state: State): { resource: string | null; identities: readonly string[] } {
  const target = targetOf(request);
  if (target === null || target.kind === 'endpoints') return { resource: null, identities: [] };
  if (target.kind === 'operation') return { resource: state.operations.get(target.id.toLowerCase())?.resource ?? null, identities: [] };
  if (target.kind === 'computeList' || target.kind === 'identityList') return { resource: target.scope, identities: [] };
  if (target.kind === 'instance') return { resource: target.set, identities: [] };
  if (target.kind === 'credential') {
    const known = findIdentity(state.identities, target.identity);
    const below = target.credential === null ? '' : `/federatedIdentityCredentials/${target.credential}`;
    return { resource: `${target.identity}${below}`, identities: known === null ? [target.identity] : idsOf(known) };
  }
  const body = request.body === '' ? undefined : parseJson(request.body);
  const map = isRecord(body) && isRecord(body.identity) ? body.identity.userAssignedIdentities : undefined;
  const named = [...(target.kind === 'identity' ? [target.id] : []), ...(isRecord(map) ? Object.keys(map) : [])];
  const identities = named.flatMap((id) => {
    const known = findIdentity(state.identities, id);
    return known === null ? [id] : idsOf(known);
  });
  return { resource: target.id, identities };
}

const idsOf = ({ id, clientId, principalId }: UserAssignedIdentity): string[] => [id, clientId, principalId];
