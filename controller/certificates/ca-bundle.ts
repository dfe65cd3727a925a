// Tells the API server which CAs to trust when it calls the webhook.
import type { KubeClient } from '../../lib/kube/client.ts';
import { jsonPatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../lib/kube/resources.ts';

const attempts = 5;

/**
 * JSON patch that puts the bundle into every webhook of the configuration that has another one; empty if none has. A webhook in another namespace
 * has its certificate from the release there. Pure.
 */
function caBundlePatch(configuration: unknown, bundle: string, namespace: string): unknown[] {
  const encoded = Buffer.from(bundle).toString('base64');
  const webhooks = at(configuration, 'webhooks');
  const changes = (Array.isArray(webhooks) ? webhooks : []).flatMap((webhook: unknown, index) =>
    stringAt(webhook, 'clientConfig', 'caBundle') === encoded ||
    (stringAt(webhook, 'clientConfig', 'service', 'namespace') ?? namespace) !== namespace
      ? []
      : [{ op: 'add', path: `/webhooks/${index}/clientConfig/caBundle`, value: encoded }],
  );
  if (changes.length === 0) return [];
  // Indices are only good for the version they were read from: with it in the patch, another version is a conflict.
  return [
    { op: 'add', path: '/metadata/resourceVersion', value: stringAt(configuration, 'metadata', 'resourceVersion') ?? '' },
    ...changes,
  ];
}

/** Returns `patched`, `unchanged`, or `absent` where the configuration does not exist (yet). */
export async function settleCaBundle(
  client: KubeClient,
  name: string,
  bundle: string,
  namespace: string,
  signal: AbortSignal,
): Promise<'patched' | 'unchanged' | 'absent'> {
  const path = resourcePath(mutatingWebhookConfigurations, { name });
  for (let attempt = 1; ; attempt += 1) {
    try {
      const body = caBundlePatch(await client.call('GET', path, { signal }), bundle, namespace);
      if (body.length === 0) return 'unchanged';
      await client.call('PATCH', path, { body, contentType: jsonPatch, signal });
      return 'patched';
    } catch (error) {
      if (isNotFound(error)) return 'absent';
      if (!isConflict(error) || attempt === attempts) throw error;
    }
  }
}
