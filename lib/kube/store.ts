import type { ObjectMeta } from '../../api/kinds.ts';

export interface Change<T> {
  key: string;
  before: T | undefined;
  /** Undefined for a deletion. */
  after: T | undefined;
}

/** What a complete list says. */
export interface Listed<T> {
  objects: Map<string, T>;
  /** Version of the list itself, which moves with every write to the cluster. */
  resourceVersion: string;
  /** Newest version of its objects. */
  changeVersion: string;
}

export interface StoreListeners<T> {
  onChange(change: Change<T>): void;
  onAdvance(): void;
}

/** The objects of one kind, from a list and a watch, and how current they are. */
export class Store<T> {
  readonly #listeners: StoreListeners<T>;
  #objects = new Map<string, T>();
  #resourceVersion = '';
  #changeVersion = '0';
  #synced = Promise.withResolvers<void>();
  #isSynced = false;

  constructor(listeners: StoreListeners<T>) {
    this.#listeners = listeners;
  }

  get objects(): ReadonlyMap<string, T> {
    return this.#objects;
  }

  get resourceVersion(): string {
    return this.#resourceVersion;
  }

  get changeVersion(): string {
    return this.#changeVersion;
  }

  get synced(): boolean {
    return this.#isSynced;
  }

  whenSynced(): Promise<void> {
    return this.#synced.promise;
  }

  /** A list is complete: its objects take the place of all others, and the store is synced. */
  replace({ objects, resourceVersion, changeVersion }: Listed<T>): void {
    const old = this.#objects;
    this.#objects = objects;
    for (const [key, before] of old) if (!objects.has(key)) this.#listeners.onChange({ key, before, after: undefined });
    for (const [key, after] of objects) this.#listeners.onChange({ key, before: old.get(key), after });
    if (isNewer(changeVersion, this.#changeVersion)) this.#changeVersion = changeVersion;
    this.#isSynced = true;
    this.advance(resourceVersion);
    this.#synced.resolve();
  }

  /** Takes a change of one object from the watch; undefined deletes it. */
  apply(key: string, after: T | undefined, version: string | undefined): void {
    const before = this.#objects.get(key);
    if (after === undefined) this.#objects.delete(key);
    else this.#objects.set(key, after);
    this.#changeVersion = version ?? this.#changeVersion;
    if (before !== undefined || after !== undefined) this.#listeners.onChange({ key, before, after });
    this.advance(version);
  }

  /** Every change up to this version has arrived. */
  advance(version: string | undefined): void {
    if (version === undefined || version === this.#resourceVersion) return;
    this.#resourceVersion = version;
    this.#listeners.onAdvance();
  }

  /** The kind is not served at present: the objects stay as they are known, but the store is not synced until the next list. */
  unsync(): void {
    if (!this.#isSynced) return;
    this.#isSynced = false;
    this.#synced = Promise.withResolvers();
  }

  /** The kind is gone, and its objects with it. */
  clear(): void {
    const old = this.#objects;
    this.#objects = new Map();
    for (const [key, before] of old) this.#listeners.onChange({ key, before, after: undefined });
  }
}

export function keyOf(metadata: ObjectMeta): string {
  const { namespace, name = '' } = metadata;
  // Not a template: V8 keeps the parts of one beside the whole once it has served as a key.
  return namespace === undefined ? name : [namespace, name].join('/');
}

/** Resource versions are numbers that grow, comparable within one kind (KEP-5504). */
export const isNewer = (version: string, than: string): boolean =>
  version.length === than.length ? version > than : version.length > than.length;
