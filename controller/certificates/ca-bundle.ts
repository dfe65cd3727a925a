// The CAs that the API server trusts when it calls the webhook.
import type { KubeClient } from '../../lib/kube/client.ts';
import { jsonPatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../lib/kube/resources.ts';

const attempts = 5;

/**
 * JSON patch that puts the bundle into every webhook of the configuration that has another one; empty where none has. Skips a webhook of another namespace:
 * the release there issues its certificate. Pure.
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
  // The indices hold for the version that was read. With the version in the patch, another one is a conflict.
  return [
    { op: 'add', path: '/metadata/resourceVersion', value: stringAt(configuration, 'metadata', 'resourceVersion') ?? '' },
    ...changes,
  ];
}

/** Returns `absent` where the configuration does not exist. */
export async function patchCaBundle({
  client,
  name,
  bundle,
  namespace,
  signal,
}: {
  client: KubeClient;
  /** Of the MutatingWebhookConfiguration. */
  name: string;
  bundle: string;
  /** The release namespace. */
  namespace: string;
  signal: AbortSignal;
}): Promise<'patched' | 'unchanged' | 'absent'> {
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
