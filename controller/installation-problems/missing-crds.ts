// Tells which of our kinds the API server does not serve: somebody deleted their CRD, or never installed it. Runs on the leader, also before the caches
// are complete, since they wait for these kinds.
import type { IdentityInformers } from '../../lib/identities/informers.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isServed } from '../../lib/kube/discovery.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import type { Problem } from './report.ts';

export interface MissingCrds {
  client: KubeClient;
  informers: { [Kind in 'identities' | 'bindings' | 'exceptions' | 'assignments']: Pick<IdentityInformers[Kind], 'synced' | 'resource'> };
}

export const missingCrds = (options: MissingCrds): Problem => ({
  name: 'missing-crds',
  reason: 'CrdsMissing',
  text: 'CRDs are missing',
  find: async (signal) => messageAbout(await findMissing(options, signal)),
});

/** Discovery is asked only about kinds whose informer has no list. */
async function findMissing({ client, informers }: MissingCrds, signal: AbortSignal): Promise<Resource[]> {
  const { identities, bindings, exceptions, assignments } = informers;
  const missing: Resource[] = [];
  for (const { synced, resource } of [identities, bindings, exceptions, assignments])
    if (!synced && !(await isServed(client, resource, signal))) missing.push(resource);
  return missing;
}

/** Empty where nothing is missing. */
function messageAbout(missing: readonly Resource[]): string {
  if (missing.length === 0) return '';
  const crds = missing.map(({ plural, group }) => `${plural}.${group}`).join(', ');
  return (
    `the API server has no CRD ${crds}: nothing is assigned or detached, and pods get only the tokens that their token proxies have already. Install ` +
    'it: helm show crds CHART | kubectl apply --server-side --force-conflicts -f -'
  );
}
