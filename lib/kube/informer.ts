// Keeps a local copy of a collection: paged list, then watch, for ever. In place of the informer of client-node, which has no pages, no bookmarks,
// no timeout and no retry: docs/reference/client-libraries.md#kubernetesclient-node.
import { setTimeout as delay } from 'node:timers/promises';
import type { ObjectMeta } from '../../api/kinds.ts';
import type { Logger } from '../log.ts';
import { backoff } from './backoff.ts';
import type { KubeClient } from './client.ts';
import { IdleWatchError, isGone, isNotFound, KubeError } from './errors.ts';
import { isRecord, metadataOf } from './objects.ts';
import type { Resource } from './resources.ts';
import { resourcePath } from './resources.ts';

export interface Change<T> {
  key: string;
  before: T | undefined;
  /** Undefined for a deletion. */
  after: T | undefined;
}

export interface Informer<T> {
  readonly resource: Resource;
  /** True once the first list is in. */
  readonly synced: boolean;
  /** What the copy has seen; advances with bookmarks. Empty before the first list. */
  readonly resourceVersion: string;
  /** Of the last change of a kept object or list; unlike the above the same on every replica that saw it, whenever its bookmarks come. */
  readonly changeVersion: string;
  whenSynced(): Promise<void>;
  /** By `namespace/name`, or the bare name of a cluster-scoped object. */
  get(key: string): T | undefined;
  values(): IterableIterator<T>;
  /** Called after the copy changed, one call a change; the returned function unsubscribes. */
  onChange(listener: (change: Change<T>) => void): () => void;
  /** Called when the copy advanced, also by a bookmark. */
  onAdvance(listener: () => void): () => void;
  stop(): Promise<void>;
}

export interface InformerOptions<T> {
  client: KubeClient;
  log: Logger;
  resource: Resource;
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  /** Picks what is kept of a raw object, whose key is given; undefined keeps nothing of it. The raw object is not retained. */
  project(raw: unknown, key: string): T | undefined;
  pageSize?: number;
  /** Bookmarks come about once a minute, so a minute and a half of silence means a dead connection. */
  inactivityMs?: number;
  /** First and longest pause after a failure. */
  retryMs?: [min: number, max: number];
}

export function keyOf(metadata: ObjectMeta): string {
  const { namespace, name = '' } = metadata;
  // Not a template: V8 keeps the parts of one beside the whole once it has served as a key.
  return namespace === undefined ? name : [namespace, name].join('/');
}

/** Starts at once; ends with `stop()`. */
export function startInformer<T>(options: InformerOptions<T>): Informer<T> {
  const { client, log, resource } = options;
  const path = resourcePath(resource, options.namespace === undefined ? {} : { namespace: options.namespace });
  const selectors: Record<string, string> = {};
  if (options.labelSelector !== undefined) selectors.labelSelector = options.labelSelector;
  if (options.fieldSelector !== undefined) selectors.fieldSelector = options.fieldSelector;

  let copy = new Map<string, T>();
  let resourceVersion = '';
  let changeVersion = '0';
  const stopping = new AbortController();
  const synced = Promise.withResolvers<void>();
  const changeListeners = new Set<(change: Change<T>) => void>();
  const advanceListeners = new Set<() => void>();
  const retry = backoff(...(options.retryMs ?? [200, 30_000]));

  function tell(change: Change<T>): void {
    for (const listener of changeListeners) listener(change);
  }

  function advance(version: string | undefined): void {
    if (version === undefined || version === resourceVersion) return;
    resourceVersion = version;
    for (const listener of advanceListeners) listener();
  }

  async function list(): Promise<void> {
    const fresh = new Map<string, T>();
    const versions: string[] = [];
    let version = '';
    let next = '';
    do {
      const query: Record<string, string> = { ...selectors, limit: String(options.pageSize ?? 500) };
      if (next !== '') query.continue = next;
      const page = await client.call('GET', path, { query, signal: stopping.signal, timeoutMs: 60_000 });
      if (!isRecord(page) || !Array.isArray(page.items) || !isRecord(page.metadata))
        throw new Error(`the list of ${resource.plural} is not a list`);
      for (const item of page.items as unknown[]) {
        const metadata = metadataOf(item);
        const key = keyOf(metadata);
        const value = options.project(item, key);
        if (value !== undefined) fresh.set(key, value);
        versions.push(metadata.resourceVersion ?? '0');
      }
      version = String(page.metadata.resourceVersion ?? '');
      next = typeof page.metadata.continue === 'string' ? page.metadata.continue : '';
    } while (next !== '');

    const old = copy;
    copy = fresh;
    for (const [key, before] of old) if (!fresh.has(key)) tell({ key, before, after: undefined });
    for (const [key, after] of fresh) tell({ key, before: old.get(key), after });
    // Not the list's own version, which moves with every write to the cluster.
    for (const each of versions) if (isNewer(each, changeVersion)) changeVersion = each;
    advance(version);
    synced.resolve();
  }

  function apply(type: string, object: unknown): void {
    const metadata = metadataOf(object);
    if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') {
      const key = keyOf(metadata);
      const before = copy.get(key);
      const after = type === 'DELETED' ? undefined : options.project(object, key);
      if (after === undefined) copy.delete(key);
      else copy.set(key, after);
      changeVersion = metadata.resourceVersion ?? changeVersion;
      if (before !== undefined || after !== undefined) tell({ key, before, after });
    }
    advance(metadata.resourceVersion);
  }

  /** Returns when the server ended the watch in good order; throws otherwise. */
  async function watch(): Promise<void> {
    const query = {
      ...selectors,
      resourceVersion,
      allowWatchBookmarks: 'true',
      // Spread over time, so that all watches of all replicas do not renew together.
      timeoutSeconds: String(Math.round(300 + Math.random() * 300)),
    };
    for await (const event of client.watch(path, { query, inactivityMs: options.inactivityMs ?? 90_000, signal: stopping.signal })) {
      if (!isRecord(event) || typeof event.type !== 'string')
        throw new Error(`the watch of ${resource.plural} sent something that is not an event`);
      if (event.type === 'ERROR') throw watchError(event.object);
      apply(event.type, event.object);
      retry.reset();
    }
  }

  async function run(): Promise<void> {
    let listed = false;
    while (!stopping.signal.aborted) {
      try {
        if (!listed) {
          await list();
          listed = true;
        }
        const began = performance.now();
        await watch();
        // A server that ends every watch at once must not be asked in a tight loop.
        if (performance.now() - began < 1_000) await delay(retry.next(), undefined, { signal: stopping.signal });
      } catch (error) {
        if (stopping.signal.aborted) return;
        // Where the kind itself went, whatever was known of its objects went with it.
        if (isGone(error) || isNotFound(error)) listed = false;
        const pause = retry.next();
        const told = { resource: resource.plural, error: String(error), retryMs: Math.round(pause), relist: !listed };
        // A quiet kind is nothing to be warned of.
        if (error instanceof IdleWatchError) log.debug(told, 'watch begun anew');
        else log.warn(told, explain(error));
        await delay(pause, undefined, { signal: stopping.signal }).catch(() => undefined);
      }
    }
  }

  const running = run().catch((error: unknown) => {
    if (!stopping.signal.aborted) throw error;
  });

  return {
    resource,
    get synced() {
      return resourceVersion !== '';
    },
    get resourceVersion() {
      return resourceVersion;
    },
    get changeVersion() {
      return changeVersion;
    },
    whenSynced: () => synced.promise,
    get: (key) => copy.get(key),
    values: () => copy.values(),
    onChange(listener) {
      changeListeners.add(listener);
      return () => changeListeners.delete(listener);
    },
    onAdvance(listener) {
      advanceListeners.add(listener);
      return () => advanceListeners.delete(listener);
    },
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}

function explain(error: unknown): string {
  if (isNotFound(error)) return 'the API server does not know this kind: waiting for its CRD to be installed';
  if (error instanceof KubeError && error.status === 403) return 'not allowed to list or watch this kind: waiting for the RBAC rule';
  return 'watch interrupted';
}

/** Resource versions are numbers that grow, comparable within one kind (KEP-5504). */
export const isNewer = (version: string, than: string): boolean =>
  version.length === than.length ? version > than : version.length > than.length;

function watchError(object: unknown): KubeError {
  if (!isRecord(object)) return new KubeError(500, '', 'the watch ended with an error that has no Status');
  const text = (value: unknown) => (typeof value === 'string' ? value : '');
  return new KubeError(typeof object.code === 'number' ? object.code : 500, text(object.reason), text(object.message));
}
