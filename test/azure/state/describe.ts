// The log line of a change of state.
import type { Change, ComputeResource, State } from './model.ts';
import { identityType } from './write.ts';

const shortId = (id: string) => id.split('/').slice(-2).join('/');

function describeResource(resource: ComputeResource): string {
  const ids = Object.keys(resource.identity.user).map((id) => id.slice(id.lastIndexOf('/') + 1));
  const identities = `${identityType(resource.identity)}${ids.length > 0 ? ` [${ids.join(' ')}]` : ''}`;
  return `${shortId(resource.id)}: ${resource.provisioningState}, etag ${resource.etag}, identity ${identities}`;
}

/** Null for changes that say nothing: buckets, assertion ids. */
export function describeChange(before: State, change: Change): string | null {
  switch (change.table) {
    case 'resources':
      return change.value === null ? `${shortId(change.key)} deleted` : describeResource(change.value);
    case 'identities': {
      if (change.value === null) return `${shortId(change.key)} deleted`;
      const known = before.identities.get(change.key);
      const word = known === undefined ? 'created' : known.principalId === change.value.principalId ? 'written' : 'recreated';
      const names = change.value.federated.map(({ name }) => name);
      return `${shortId(change.key)} ${word}, client id ${change.value.clientId}, federated credentials [${names.join(' ')}]`;
    }
    case 'operations': {
      if (change.value === null) return null;
      const { id, status, end } = change.value;
      return `operation ${id} on ${shortId(change.value.resource)}: ${status}${status !== 'InProgress' && end.error !== null ? ` (${end.error.code})` : ''}`;
    }
    case 'tokens':
      return change.value === null ? null : `token for ${change.key} kept until ${new Date(change.value.expiresAt).toISOString()}`;
    case 'apps':
    case 'buckets':
    case 'assertions':
      return null;
    default:
      return change satisfies never;
  }
}
