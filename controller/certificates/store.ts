// Reads and writes the objects that hold certificates without a lock: a writer that loses a race reads again what the other wrote.
import type { KubeClient } from '../../lib/kube/client.ts';
import { isAlreadyExists, isConflict, isNotFound } from '../../lib/kube/errors.ts';
import { at, isRecord, stringMapAt } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { configMaps, resourcePath, secrets } from '../../lib/kube/resources.ts';
import { decodeSecretData, encodeSecretData } from '../../lib/kube/secret-data.ts';

const managedBy = { 'app.kubernetes.io/managed-by': 'aad-pod-identity-controller' };
const attempts = 5;

export interface Store {
  client: KubeClient;
  namespace: string;
  signal: AbortSignal;
}

interface Desired {
  data: Record<string, string>;
  /** Keys to remove. */
  drop?: readonly string[];
}

type Decide = (data: Record<string, string>) => Desired | undefined | Promise<Desired | undefined>;

/**
 * Writes what `decide` returns for the decoded data of a Secret, which are empty where it does not exist; undefined leaves it as it is.
 * Keeps keys that `decide` does not name. Returns the data that the Secret holds in the end.
 */
export async function ensureSecret(
  store: Store,
  name: string,
  type: 'Opaque' | 'kubernetes.io/tls',
  decide: Decide,
): Promise<Record<string, string>> {
  return ensure(store, secrets, name, decodeSecretData, decide, (data) => ({ type, data: encodeSecretData(data) }));
}

/** As {@link ensureSecret}, for a ConfigMap. */
export async function ensureConfigMap(store: Store, name: string, decide: Decide): Promise<Record<string, string>> {
  return ensure(
    store,
    configMaps,
    name,
    (raw) => stringMapAt(raw, 'data'),
    decide,
    (data) => ({ data }),
  );
}

async function ensure(
  { client, namespace, signal }: Store,
  resource: Resource,
  name: string,
  read: (raw: unknown) => Record<string, string>,
  decide: Decide,
  write: (data: Record<string, string>) => Record<string, unknown>,
): Promise<Record<string, string>> {
  const collection = resourcePath(resource, { namespace });
  const object = resourcePath(resource, { namespace, name });
  for (let attempt = 1; ; attempt += 1) {
    const existing = await client.call('GET', object, { signal }).catch((error: unknown) => {
      if (isNotFound(error)) return undefined;
      throw error;
    });
    const before = read(existing);
    const desired = await decide(before);
    if (desired === undefined) return before;
    const data = { ...before, ...desired.data };
    for (const key of desired.drop ?? []) delete data[key];
    const base = isRecord(existing) ? existing : { apiVersion: resource.version, kind: resource.kind, metadata: { name, namespace } };
    const metadata = at(base, 'metadata');
    const body = {
      ...base,
      metadata: { ...(isRecord(metadata) ? metadata : {}), labels: { ...stringMapAt(base, 'metadata', 'labels'), ...managedBy } },
      ...write(data),
    };
    try {
      if (existing === undefined) await client.call('POST', collection, { body, signal });
      // The body carries the resourceVersion that was read, so a change in between is a conflict.
      else await client.call('PUT', object, { body, signal });
      return data;
    } catch (error) {
      const lostRace = isAlreadyExists(error) || isConflict(error) || (existing !== undefined && isNotFound(error));
      if (!lostRace || attempt === attempts) throw error;
    }
  }
}
