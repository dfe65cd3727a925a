import type { Incoming } from '../core/messages.ts';
import type { State } from '../state/model.ts';
import { keyOf } from '../state/names.ts';

/** What faults can be aimed at: the audience asked for, and the app that signs in, by its client and object id. */
export function describeEntra(request: Incoming, state: State): { resource: string | null; identities: readonly string[] } {
  const form = new URLSearchParams(request.body);
  const scope = form.get('scope');
  const resource = form.get('resource') ?? (scope?.endsWith('/.default') ? scope.slice(0, -'/.default'.length) : scope);
  const clientId = form.get('client_id');
  const app = clientId === null ? undefined : state.apps.get(keyOf(clientId));
  return { resource, identities: app === undefined ? (clientId === null ? [] : [clientId]) : [app.clientId, app.objectId] };
}
