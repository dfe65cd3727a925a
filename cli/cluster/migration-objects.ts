// The objects that `migrate` reads of a cluster, as manifests have them.
import { bindingLabel } from '../../api/names.ts';
import { isRecord, stringAt } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import {
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  clusterRoles,
  cronJobs,
  daemonSets,
  deployments,
  jobs,
  namespaces,
  pods,
  statefulSets,
} from '../../lib/kube/resources.ts';
import { unreadable } from '../check/unreadable.ts';
import type { Problem } from '../finding.ts';
import { userRoleName } from '../migrate/input.ts';
import type { ListOptions, Read, Reader } from './reader.ts';

export interface MigrationObjects {
  readonly objects: readonly unknown[];
  /** What could not be read. */
  readonly problems: readonly Problem[];
}

const lists: readonly [Resource, ListOptions?][] = [
  [azureIdentities],
  [azureIdentityBindings],
  [azurePodIdentityExceptions],
  [namespaces],
  [deployments],
  [statefulSets],
  [daemonSets],
  [jobs],
  [cronJobs],
  [pods, { labelSelector: bindingLabel }],
];

/** A kind that the cluster does not have has no objects. */
export async function readMigrationObjects(reader: Reader): Promise<MigrationObjects> {
  const [userRole, ...found] = await Promise.all([
    reader.get(clusterRoles, { name: userRoleName }),
    ...lists.map(([resource, options]) => reader.list(resource, options)),
  ]);
  const objects = found.flatMap((read, index) => ('value' in read ? read.value.map((object) => named(object, lists[index]?.[0])) : []));
  return {
    objects: [...objects, ...('value' in userRole ? [named(userRole.value, clusterRoles)] : [])],
    // An API server that does not answer fails each list alike.
    problems: [...new Map([...found, userRole].flatMap(problemOf).map((problem) => [problem.message, problem])).values()],
  };
}

function problemOf(read: Read<unknown>): Problem[] {
  return 'value' in read || read.why === 'absent' ? [] : [unreadable('cluster', read)];
}

/** The API server leaves kind and apiVersion out of the items of a list. */
function named(object: unknown, resource: Resource | undefined): unknown {
  if (resource === undefined || !isRecord(object)) return object;
  const { group, version, kind } = resource;
  return { apiVersion: group === '' ? version : `${group}/${version}`, ...object, kind };
}

/** Of the service account tokens; undefined where the API server does not say. */
export async function readIssuer(reader: Reader): Promise<string | undefined> {
  const read = await reader.call('/.well-known/openid-configuration', 'get /.well-known/openid-configuration');
  return 'value' in read ? stringAt(read.value, 'issuer') : undefined;
}
