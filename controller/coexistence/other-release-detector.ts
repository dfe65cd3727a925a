// A cluster has one webhook configuration of this system. It sends pods to the release in one namespace, and only that release works. A controller of
// another namespace has a Lease of its own, so leader election does not keep the two apart.
import { leaderLeaseName } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, isNotFound } from '../../lib/kube/errors.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import { onceIn } from '../../lib/once-in.ts';
import type { Conflict, ConflictDetector } from './conflict.ts';

const warnMs = 10 * 60_000;

export interface OtherReleaseOptions {
  client: KubeClient;
  log: Logger;
  clock: Clock;
  /** Of our own release. */
  namespace: string;
  webhookConfiguration: string;
}

/** Detects another release by the webhook configuration that sends pods to it. */
export function createOtherReleaseDetector(options: OtherReleaseOptions): ConflictDetector {
  const { client, log, webhookConfiguration: name } = options;
  const isDue = onceIn(warnMs, options.clock);
  let last: Conflict | 'none' | 'unknown' = 'unknown';

  return async (signal) => {
    try {
      const raw = await client.call('GET', resourcePath(mutatingWebhookConfigurations, { name }), { signal, timeoutMs: 10_000 });
      last = conflictIn(raw, options);
    } catch (error) {
      if (signal.aborted) return last;
      // A configuration that is absent, or that could never be read, belongs to nobody. Otherwise the last answer counts.
      if (isNotFound(error) || (isForbidden(error) && last === 'unknown')) last = 'none';
      if (!isNotFound(error) && isDue(String(error)))
        log.warn({ configuration: name, error: String(error) }, 'webhook configuration cannot be read: another release is not noticed');
    }
    return last;
  };
}

function conflictIn(configuration: unknown, { namespace, webhookConfiguration }: OtherReleaseOptions): Conflict | 'none' {
  const webhooks = at(configuration, 'webhooks');
  const namespaces = (Array.isArray(webhooks) ? webhooks : []).flatMap(
    (webhook: unknown) => stringAt(webhook, 'clientConfig', 'service', 'namespace') ?? [],
  );
  const [other] = namespaces;
  if (other === undefined || namespaces.includes(namespace)) return 'none';
  return {
    regarding: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name: leaderLeaseName },
    reason: 'OtherReleaseRuns',
    message: `webhook configuration ${webhookConfiguration} belongs to the release in namespace ${other}, and a cluster has one: this controller, of namespace ${namespace}, assigns, attaches and detaches nothing. Uninstall one of the two`,
  };
}
