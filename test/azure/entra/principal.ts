// Who signs in: an application, or a user-assigned identity by one of its federated credentials.
import type { Context } from '../core/handler.ts';
import { trustsKnown } from '../state/credentials.ts';
import type { App, SignInState, State, Trust, UserAssignedIdentity } from '../state/model.ts';
import { keyOf } from '../state/names.ts';

export type Principal = {
  readonly clientId: string;
  readonly objectId: string;
  readonly tenantId: string;
  /** Of a user-assigned identity, else null. */
  readonly resourceId: string | null;
  /** Secrets and certificates; an identity has none. */
  readonly app: App | null;
  readonly trusts: readonly Trust[];
} & SignInState;

export const identityOfClient = (state: State, clientId: string): UserAssignedIdentity | undefined =>
  [...state.identities.values()].find((one) => keyOf(one.clientId) === keyOf(clientId));

/** Undefined where the tenant has no such client. */
export function principalOf(clientId: string, tenantId: string, { state, now, random }: Context): Principal | undefined {
  const app = state.apps.get(keyOf(clientId));
  if (app !== undefined) {
    const trusts = app.federated.map(({ issuer, subject, audience }) => ({ issuer, subject, audiences: [audience] }));
    return keyOf(app.tenantId) === keyOf(tenantId) ? { ...app, resourceId: null, app, trusts } : undefined;
  }
  const identity = identityOfClient(state, clientId);
  if (identity === undefined || keyOf(identity.tenantId) !== keyOf(tenantId)) return undefined;
  const { principalId: objectId, id: resourceId } = identity;
  const replica = Math.floor(random() * state.config.settings.entra.replicas);
  return { ...identity, objectId, resourceId, app: null, trusts: trustsKnown(identity, replica, now) };
}
