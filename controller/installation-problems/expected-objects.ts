// Tells which objects are missing that a release of aad-pod-identity had and this release counts on: they go when that release is uninstalled. The
// controller has no right to make them; `helm upgrade` does. Runs on the leader.
import type { Exception } from '../../lib/identities/exceptions.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isNotFound } from '../../lib/kube/errors.ts';
import type { Informer } from '../../lib/kube/informer.ts';
import { clusterRoles, resourcePath } from '../../lib/kube/resources.ts';
import type { Problem } from './report.ts';

export interface ExpectedObjects {
  client: Pick<KubeClient, 'call'>;
  exceptions: Pick<Informer<Exception>, 'get'>;
  /** The release namespace. */
  namespace: string;
  /** `namespace/name` of AzurePodIdentityExceptions. */
  expectedExceptions: readonly string[];
  expectedClusterRoles: readonly string[];
}

/** The exceptions must have synced. */
export const expectedObjects = (options: ExpectedObjects): Problem => ({
  name: 'expected-objects',
  reason: 'ObjectsMissing',
  text: 'expected objects are missing',
  find: async (signal) => messageAbout(await findMissing(options, signal), options.namespace),
});

interface Missing {
  exceptions: readonly string[];
  clusterRoles: readonly string[];
}

async function findMissing(options: ExpectedObjects, signal: AbortSignal): Promise<Missing> {
  const roles: string[] = [];
  for (const name of options.expectedClusterRoles) if (!(await exists(options.client, name, signal))) roles.push(name);
  return { exceptions: options.expectedExceptions.filter((key) => options.exceptions.get(key) === undefined), clusterRoles: roles };
}

async function exists(client: Pick<KubeClient, 'call'>, name: string, signal: AbortSignal): Promise<boolean> {
  try {
    await client.call('GET', resourcePath(clusterRoles, { name }), { signal });
    return true;
  } catch (error) {
    if (isNotFound(error)) return false;
    throw error;
  }
}

/** Empty where nothing is missing. */
function messageAbout({ exceptions, clusterRoles: roles }: Missing, namespace: string): string {
  if (exceptions.length + roles.length === 0) return '';
  const kinds = [
    exceptions.length === 0 ? [] : [`AzurePodIdentityException ${exceptions.join(', ')}`],
    roles.length === 0 ? [] : [`ClusterRole ${roles.join(', ')}`],
  ].flat();
  const set = roles.length === 0 ? '' : ' --set rbac.userFacingClusterRoles=create';
  return `${kinds.join(' and ')} missing: deleted, or gone with a release of aad-pod-identity. To make it: helm upgrade RELEASE CHART -n ${namespace} --reuse-values${set}`;
}
