// Helm never upgrades CRDs, and a cluster that had aad-pod-identity keeps its CRDs, until somebody applies ours (docs/upgrade.md#crds). Everything works
// with them too, but kubectl shows less and the API server checks less.
import { plurals } from '../api/kinds.ts';
import { apiGroup } from '../api/names.ts';
import { version as ownVersion } from '../api/version.ts';
import { crdVersion, isOlder } from '../lib/identities/crd-version.ts';
import type { InstallationReason } from '../lib/identities/reasons.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import { stringAt } from '../lib/kube/objects.ts';
import { customResourceDefinitions, resourcePath, services } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';

export interface CrdCheckOptions {
  client: Pick<KubeClient, 'call'>;
  log: Logger;
  events: Pick<EventRecorder<InstallationReason>, 'record'>;
  /** Of the release. */
  namespace: string;
  webhookService: string;
}

/** Never throws. */
export async function warnAboutOldCrds({ client, log, events, namespace, webhookService: name }: CrdCheckOptions): Promise<void> {
  try {
    const old: string[] = [];
    for (const plural of Object.values(plurals)) {
      const crd = `${plural}.${apiGroup}`;
      const version = crdVersion(await client.call('GET', resourcePath(customResourceDefinitions, { name: crd })));
      if (isOlder(version, ownVersion)) old.push(`${crd} (${version ?? 'without a version'})`);
    }
    if (old.length === 0) return;
    const message =
      `CRDs are older than this controller, which is ${ownVersion}: ${old.join(', ')}. Helm does not upgrade them: helm show crds CHART | ` +
      'kubectl apply --server-side --force-conflicts -f -';
    log.warn({ crds: old }, message);
    // kubectl describe shows only Events that have the uid.
    const uid = stringAt(await client.call('GET', resourcePath(services, { namespace, name })), 'metadata', 'uid');
    events.record({ apiVersion: 'v1', kind: 'Service', namespace, name, uid }, 'Warning', 'CrdsOutdated', message);
  } catch (error) {
    log.info({ error: String(error) }, 'CRDs not compared with this version');
  }
}
