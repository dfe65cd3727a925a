// Writes the entries of our MutatingWebhookConfiguration.
import type { KubeClient } from '../../lib/kube/client.ts';
import { jsonPatch } from '../../lib/kube/client.ts';
import { isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../lib/kube/resources.ts';
import type { EntriesInput, EntriesState } from './webhook-entries.ts';
import { isOurs, planEntries } from './webhook-entries.ts';

const attempts = 5;

/** `absent`: the configuration does not exist. It is not made anew: who deleted it may have meant it. */
export type Registration = EntriesState | 'absent';

export interface ConfigurationOptions extends Omit<EntriesInput, 'current'> {
  client: KubeClient;
  /** Of the MutatingWebhookConfiguration. */
  name: string;
  signal: AbortSignal;
}

/** PEM of every CA that the API server trusts for our entries; empty where there are none. */
export async function registeredBundle({
  client,
  name,
  signal,
}: Pick<ConfigurationOptions, 'client' | 'name' | 'signal'>): Promise<string> {
  try {
    const webhooks = at(await client.call('GET', resourcePath(mutatingWebhookConfigurations, { name }), { signal }), 'webhooks');
    const bundles = Array.isArray(webhooks)
      ? webhooks.filter(isOurs).map((webhook) => stringAt(webhook, 'clientConfig', 'caBundle') ?? '')
      : [];
    return bundles.map((text) => Buffer.from(text, 'base64').toString()).join('\n');
  } catch (error) {
    if (isNotFound(error)) return '';
    throw error;
  }
}

/** Without entries the configuration is left alone. */
export async function ensureEntries(options: ConfigurationOptions): Promise<{ registration: Registration; written: boolean }> {
  const { client, name, entries, signal } = options;
  if (entries.length === 0) return { registration: 'registered', written: false };
  const path = resourcePath(mutatingWebhookConfigurations, { name });
  for (let attempt = 1; ; attempt += 1) {
    try {
      const configuration = await client.call('GET', path, { signal });
      const current = at(configuration, 'webhooks');
      const { state, webhooks } = planEntries({ ...options, current: Array.isArray(current) ? current : [] });
      if (webhooks === undefined) return { registration: state, written: false };
      // The list was made from the version that was read. With the version in the patch, another one is a conflict.
      const version = stringAt(configuration, 'metadata', 'resourceVersion') ?? '';
      const body = [
        { op: 'add', path: '/metadata/resourceVersion', value: version },
        { op: 'add', path: '/webhooks', value: webhooks },
      ];
      await client.call('PATCH', path, { body, contentType: jsonPatch, signal });
      return { registration: state, written: true };
    } catch (error) {
      if (isNotFound(error)) return { registration: 'absent', written: false };
      if (!isConflict(error) || attempt === attempts) throw error;
    }
  }
}
