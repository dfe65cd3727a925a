import type { Incoming } from '../core/messages.ts';
import type { State, VmReference } from '../state/model.ts';
import { readSelector, selectIdentity } from './select.ts';

/** What faults can be aimed at: the audience asked for, and the identity by all its ids (or by the one that was asked for). */
export function describeImds(
  request: Incoming,
  state: State,
  now: number,
  vm: VmReference | null,
): { resource: string | null; identities: readonly string[] } {
  const resource = request.query.get('resource');
  const selector = readSelector(request.query);
  if (selector !== null && 'refused' in selector) return { resource, identities: [] };
  const chosen = selectIdentity(state, vm, now, selector);
  if ('refused' in chosen) return { resource, identities: selector === null ? [] : [selector.value] };
  return { resource, identities: [chosen.objectId, chosen.appId, ...(chosen.resourceId === null ? [] : [chosen.resourceId])] };
}
