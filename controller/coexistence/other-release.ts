// A cluster has one webhook configuration of ours, and it sends pods to one namespace: the release there is the one that works. A controller that was
// started for another namespace has a Lease of its own, so nothing else would keep the two apart.
import { leaderLeaseName } from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, isNotFound } from '../../lib/kube/errors.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../lib/kube/resources.ts';
import type { Logger } from '../../lib/log.ts';
import type { Look } from './give-way.ts';

/** The namespaces of the Services that the webhooks of a configuration call. Pure. */
function webhookNamespaces(configuration: unknown): string[] {
  const webhooks = at(configuration, 'webhooks');
  return (Array.isArray(webhooks) ? webhooks : []).flatMap(
    (webhook: unknown) => stringAt(webhook, 'clientConfig', 'service', 'namespace') ?? [],
  );
}

export function lookForOtherRelease(options: { client: KubeClient; log: Logger; namespace: string; webhookConfiguration: string }): Look {
  const { client, log, namespace, webhookConfiguration: name } = options;
  let last: Awaited<ReturnType<Look>> = 'unknown';
  let unreadable = '';

  return async (signal) => {
    try {
      const raw = await client.call('GET', resourcePath(mutatingWebhookConfigurations, { name }), { signal, timeoutMs: 10_000 });
      const [other, ...rest] = webhookNamespaces(raw);
      unreadable = '';
      last = other === undefined || [other, ...rest].includes(namespace) ? 'none' : rivalIn(other);
    } catch (error) {
      // One that is not there, or that we never could read, is nobody's claim; else what was seen last still counts.
      if (isNotFound(error) || (isForbidden(error) && last === 'unknown')) last = 'none';
      if (!signal.aborted && !isNotFound(error) && unreadable !== String(error)) {
        unreadable = String(error);
        log.warn({ configuration: name, error: unreadable }, 'cannot see whether another release runs');
      }
    }
    return last;
  };

  function rivalIn(other: string): Exclude<typeof last, string> {
    return {
      regarding: { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', namespace, name: leaderLeaseName },
      reason: 'OtherReleaseRuns',
      message: `webhook configuration ${name} belongs to the release in namespace ${other}, and a cluster has one: this controller, of namespace ${namespace}, assigns, attaches and detaches nothing. Uninstall one of the two`,
    };
  }
}
