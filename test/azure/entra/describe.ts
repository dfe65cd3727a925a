import type { Incoming } from '../core/messages.ts';
import type { State } from '../state/model.ts';
import { keyOf } from '../state/names.ts';
import { identityOfClient } from './principal.ts';

/** What faults can be aimed at: the audience asked for, and who signs in, by its client, object and resource id. */
export function describeEntra(request: Incoming, state: State): { resource: string | null; identities: readonly string[] } {
  const form = new URLSearchParams(request.body);
  const scope = form.get('scope');
  const resource = form.get('resource') ?? (scope?.endsWith('/.default') ? scope.slice(0, -'/.default'.length) : scope);
  const clientId = form.get('client_id');
  if (clientId === null) return { resource, identities: [] };
  const app = state.apps.get(keyOf(clientId));
  if (app !== undefined) return { resource, identities: [app.clientId, app.objectId] };
  const identity = identityOfClient(state, clientId);
  return { resource, identities: identity === undefined ? [clientId] : [identity.clientId, identity.principalId, identity.id] };
}
