// Keeps a local copy of a collection: paged list, then watch, until it is stopped. In place of the informer of client-node, which has no pages, no
// bookmarks, no timeout and no retry: docs/reference/client-libraries.md#kubernetesclient-node.
//
// - An error of any kind leads to another attempt after back-off. A watch goes on from where it was; after a 410 the collection is listed again.
// - A kind that answers 404 is not synced any more, but its objects stay: one API server of several may be behind, or a proxy may answer.
//   They are dropped when discovery has said for `goneAfterMs` that the kind is not served. Until then, deleting a CRD says so itself: the
//   watch reports each of its objects as deleted.
// - A listener that throws stops neither the others nor the informer.
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { sleep } from '../../common/sleep.ts';
import type { Logger } from '../log.ts';
import { onceIn } from '../once-in.ts';
import { backoff } from './backoff.ts';
import { isServed } from './discovery.ts';
import { IdleWatchError, isForbidden, isGone, isNotFound } from './errors.ts';
import type { Collection } from './list-and-watch.ts';
import { list, watch } from './list-and-watch.ts';
import type { Resource } from './resources.ts';
import type { Change } from './store.ts';
import { Store } from './store.ts';

export type { Change } from './store.ts';
export { isNewer, keyOf } from './store.ts';

export interface Informer<T> {
  readonly resource: Resource;
  /** True once the first list is in, and false again while the kind is not served. */
  readonly synced: boolean;
  /** How far the informer has come; advances with bookmarks. Empty before the first list. */
  readonly resourceVersion: string;
  /** Of the last change of a kept object or list; unlike the above the same on every replica that saw it, whenever its bookmarks come. */
  readonly changeVersion: string;
  /** Resolves when the informer is synced. */
  whenSynced(): Promise<void>;
  /** By `namespace/name`, or the bare name of a cluster-scoped object. */
  get(key: string): T | undefined;
  values(): IterableIterator<T>;
  /** Called after the cache changed, one call a change; the returned function unsubscribes. */
  onChange(listener: (change: Change<T>) => void): () => void;
  /** Called when the informer advanced, also by a bookmark. */
  onAdvance(listener: () => void): () => void;
  stop(): Promise<void>;
}

export interface InformerOptions<T> extends Collection<T> {
  log: Logger;
  pageSize?: number;
  /** Bookmarks come about once a minute, so a minute and a half of silence means a dead connection. */
  inactivityMs?: number;
  /** First and longest pause after a failure. */
  retryMs?: readonly [min: number, max: number];
  /** Objects of a kind that is not served any more are dropped after so long. */
  goneAfterMs?: number;
  clock?: Clock;
}

/** A server that ends every watch sooner must not be asked in a tight loop. */
const shortestWatchMs = 1_000;

/** Starts at once; ends with `stop()`. */
export function startInformer<T>(options: InformerOptions<T>): Informer<T> {
  const { client, log, resource, pageSize = 500, inactivityMs = 90_000, goneAfterMs = 60_000, clock = systemClock } = options;
  const stopping = new AbortController();
  const { signal } = stopping;
  const retry = backoff(...(options.retryMs ?? [200, 30_000]));
  const isNew = onceIn(60_000, clock, 16);
  const onError = (error: unknown) => {
    // The stack: only a fault of the program comes here.
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    if (isNew(text)) log.error({ resource: resource.plural, error: text }, 'a listener of the informer failed');
  };
  const changes = createListeners<Change<T>>(onError);
  const advances = createListeners<void>(onError);
  const store = new Store<T>({ onChange: changes.call, onAdvance: advances.call });
  /** The next attempt begins with a list. */
  let isListDue = true;
  /** Since when discovery says at every attempt that the kind is not served. */
  let unservedSince: number | undefined;

  async function listAndWatch(): Promise<void> {
    if (isListDue) {
      store.replace(await list(options, { pageSize, signal }));
      isListDue = false;
      unservedSince = undefined;
    }
    const began = clock.now();
    for await (const event of watch(options, { resourceVersion: store.resourceVersion, inactivityMs, signal })) {
      if (event.type === 'change') store.apply(event.key, event.after, event.version);
      else store.advance(event.version);
      retry.reset();
    }
    if (clock.now() - began < shortestWatchMs) await sleep(clock, retry.next(), signal);
  }

  async function handleNotFound(): Promise<void> {
    isListDue = true;
    store.unsync();
    if (store.objects.size === 0) return;
    if (await isServed(client, resource, signal)) {
      unservedSince = undefined;
      return;
    }
    unservedSince ??= clock.now();
    if (clock.now() - unservedSince < goneAfterMs) return;
    log.warn({ resource: resource.plural, objects: store.objects.size }, 'the kind is not served any more: its objects are dropped');
    store.clear();
  }

  async function handleFailure(error: unknown): Promise<void> {
    if (isGone(error)) isListDue = true;
    if (isNotFound(error))
      await handleNotFound().catch((failure: unknown) => {
        unservedSince = undefined;
        if (!signal.aborted) log.warn({ resource: resource.plural, error: String(failure) }, 'discovery failed');
      });
    else unservedSince = undefined;
    const retryMs = retry.next();
    const fields = { resource: resource.plural, error: String(error), retryMs: Math.round(retryMs), relist: isListDue };
    // A quiet kind is nothing to be warned of.
    if (error instanceof IdleWatchError) log.debug(fields, 'watch begun anew');
    else log.warn(fields, messageOf(error));
    await sleep(clock, retryMs, signal);
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      try {
        await listAndWatch();
      } catch (error) {
        if (signal.aborted) return;
        await handleFailure(error);
      }
    }
  }

  const running = run();

  return {
    resource,
    get synced() {
      return store.synced;
    },
    get resourceVersion() {
      return store.resourceVersion;
    },
    get changeVersion() {
      return store.changeVersion;
    },
    whenSynced: () => store.whenSynced(),
    get: (key) => store.objects.get(key),
    values: () => store.objects.values(),
    onChange: changes.add,
    onAdvance: advances.add,
    async stop() {
      stopping.abort(new Error('stopped'));
      await running;
    },
  };
}

/** Listeners of one event, each by itself: the others are called although one throws. */
function createListeners<E>(onError: (error: unknown) => void) {
  const listeners = new Set<(event: E) => void>();
  return {
    add(listener: (event: E) => void): () => void {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    call(event: E): void {
      for (const listener of listeners) {
        try {
          listener(event);
        } catch (error) {
          onError(error);
        }
      }
    },
  };
}

function messageOf(error: unknown): string {
  if (isNotFound(error)) return 'the API server does not know this kind: waiting for its CRD to be installed';
  if (isForbidden(error)) return 'not allowed to list or watch this kind: waiting for the RBAC rule';
  return 'watch interrupted';
}
