// Helm never upgrades CRDs. A cluster that had aad-pod-identity keeps its CRDs until somebody applies ours. Everything works with them too, but
// kubectl shows less and the API server checks less.
import { plurals } from '../api/kinds.ts';
import { apiGroup, apiVersion } from '../api/names.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import type { Logger } from '../lib/log.ts';

/** Our CRD of AzureAssignedIdentity has a column for the status. That of aad-pod-identity has no columns (docs/reference/aad-pod-identity.md). */
export function hasStatusColumn(crd: unknown): boolean {
  const versions = at(crd, 'spec', 'versions');
  const ours = Array.isArray(versions) ? versions.find((version: unknown) => stringAt(version, 'name') === apiVersion) : undefined;
  const columns = at(ours, 'additionalPrinterColumns');
  return Array.isArray(columns) && columns.some((column: unknown) => stringAt(column, 'jsonPath') === '.status.status');
}

/** Never throws. */
export async function warnAboutOldCrds(client: KubeClient, log: Logger): Promise<void> {
  const crd = `${plurals.AzureAssignedIdentity}.${apiGroup}`;
  try {
    if (hasStatusColumn(await client.call('GET', `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${crd}`))) return;
    log.warn(
      { crd },
      'CRDs are older than this controller: apply those of the chart (kubectl apply -f crds/), which check objects and show their status',
    );
  } catch (error) {
    log.info({ crd, error: String(error) }, 'version of the CRDs is unknown');
  }
}
