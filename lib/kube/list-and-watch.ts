// The two calls of which an informer is made. Both project each object as it arrives, so that raw objects are never kept.
import type { KubeClient } from './client.ts';
import { KubeError } from './errors.ts';
import { isRecord, metadataOf } from './objects.ts';
import type { Resource } from './resources.ts';
import { resourcePath } from './resources.ts';
import type { Listed } from './store.ts';
import { isNewer, keyOf } from './store.ts';

/** A collection on the API server. */
export interface Collection<T> {
  client: KubeClient;
  resource: Resource;
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Picks what is kept of a raw object, whose key is given; undefined keeps nothing of it. The raw object is not retained. */
  project(raw: unknown, key: string): T | undefined;
}

export type WatchEvent<T> =
  | { type: 'change'; key: string; after: T | undefined; version: string | undefined }
  | { type: 'bookmark'; version: string | undefined };

const listTimeoutMs = 60_000;

function pathOf({ resource, namespace }: Collection<unknown>): string {
  return resourcePath(resource, namespace === undefined ? {} : { namespace });
}

function selectorsOf({ labelSelector, fieldSelector }: Collection<unknown>): Record<string, string> {
  return { ...(labelSelector === undefined ? {} : { labelSelector }), ...(fieldSelector === undefined ? {} : { fieldSelector }) };
}

/** Reads every page. */
export async function list<T>(collection: Collection<T>, options: { pageSize: number; signal: AbortSignal }): Promise<Listed<T>> {
  const { client, resource, project } = collection;
  const objects = new Map<string, T>();
  let changeVersion = '0';
  let resourceVersion = '';
  let next = '';
  do {
    const query: Record<string, string> = { ...selectorsOf(collection), limit: String(options.pageSize) };
    if (next !== '') query.continue = next;
    const page = await client.call('GET', pathOf(collection), { query, signal: options.signal, timeoutMs: listTimeoutMs });
    if (!isRecord(page) || !Array.isArray(page.items) || !isRecord(page.metadata))
      throw new Error(`the list of ${resource.plural} is not a list`);
    for (const item of page.items as unknown[]) {
      const metadata = metadataOf(item);
      const key = keyOf(metadata);
      const object = project(item, key);
      if (object !== undefined) objects.set(key, object);
      if (metadata.resourceVersion !== undefined && isNewer(metadata.resourceVersion, changeVersion))
        changeVersion = metadata.resourceVersion;
    }
    resourceVersion = String(page.metadata.resourceVersion ?? '');
    next = typeof page.metadata.continue === 'string' ? page.metadata.continue : '';
  } while (next !== '');
  return { objects, resourceVersion, changeVersion };
}

/** Yields until the server ends the watch in good order; throws otherwise. */
export async function* watch<T>(
  collection: Collection<T>,
  options: { resourceVersion: string; inactivityMs: number; signal: AbortSignal },
): AsyncGenerator<WatchEvent<T>, void, undefined> {
  const { client, resource, project } = collection;
  const query = {
    ...selectorsOf(collection),
    resourceVersion: options.resourceVersion,
    allowWatchBookmarks: 'true',
    // Spread over time, so that all watches of all replicas do not renew together.
    timeoutSeconds: String(Math.round(300 + Math.random() * 300)),
  };
  for await (const event of client.watch(pathOf(collection), { query, inactivityMs: options.inactivityMs, signal: options.signal })) {
    if (!isRecord(event) || typeof event.type !== 'string')
      throw new Error(`the watch of ${resource.plural} sent something that is not an event`);
    const { type, object } = event;
    if (type === 'ERROR') throw errorOfStatus(object);
    const metadata = metadataOf(object);
    const version = metadata.resourceVersion;
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') {
      const key = keyOf(metadata);
      yield { type: 'change', key, after: type === 'DELETED' ? undefined : project(object, key), version };
    } else yield { type: 'bookmark', version };
  }
}

function errorOfStatus(status: unknown): KubeError {
  if (!isRecord(status)) return new KubeError(500, '', 'the watch ended with an error that has no Status');
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return new KubeError(typeof status.code === 'number' ? status.code : 500, text(status.reason), text(status.message));
}
