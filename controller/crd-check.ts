// Helm never upgrades CRDs: a cluster that had aad-pod-identity keeps its own until somebody applies ours. All works with them too, but less of it shows.
import { plurals } from '../api/kinds.ts';
import { apiGroup, apiVersion } from '../api/names.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';

/** Our CRD of AzureAssignedIdentity shows the status; upstream's has no columns at all (spec/aad-pod-identity.md 1.1). */
export function showsStatus(crd: unknown): boolean {
  const versions = at(crd, 'spec', 'versions');
  const ours = Array.isArray(versions) ? versions.find((version: unknown) => stringAt(version, 'name') === apiVersion) : undefined;
  const columns = at(ours, 'additionalPrinterColumns');
  return Array.isArray(columns) && columns.some((column: unknown) => stringAt(column, 'jsonPath') === '.status.status');
}

/** Never throws. */
export async function sayIfKindsAreOld(client: KubeClient, log: Logger): Promise<void> {
  const crd = `${plurals.AzureAssignedIdentity}.${apiGroup}`;
  try {
    if (showsStatus(await client.call('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd}`))) return;
    log.warn(
      { crd },
      'CRDs are older than this controller: apply those of the chart (kubectl apply -f crds/), which check objects and show their status',
    );
  } catch (error) {
    log.info({ crd, error: String(error) }, 'cannot tell how old the CRDs are');
  }
}
