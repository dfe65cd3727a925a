import type { Assignment } from '../../lib/identities/assignment.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import type { Logger } from '../../lib/log.ts';
import type { AssignmentClient } from './client.ts';
import type { PodState } from './pod-state.ts';

export interface ReleaserOptions {
  client: Pick<AssignmentClient, 'release'>;
  log: Logger;
  /** Asks the API server, not the cache: true for a pod that is gone or that lost its label. */
  isPodAbsent(podKey: string): Promise<boolean>;
}

/**
 * Releases each object once, and only for a pod that is really gone, though the caches may be behind.
 * What it remembers saves calls to the API server; a restart may lose it.
 */
export class Releaser {
  readonly #options: ReleaserOptions;
  /** By pod: its uid when it was in the cache last. */
  readonly #podUids = new Map<string, string>();
  /** By pod: uids of the objects that are released and that the cache still holds. */
  readonly #released = new Map<string, readonly (string | undefined)[]>();

  constructor(options: ReleaserOptions) {
    this.#options = options;
  }

  /** Keeps what is remembered of the pod in step with the caches. */
  observe(podKey: string, { pod, assignments }: PodState): void {
    if (pod !== undefined) this.#podUids.set(podKey, pod.uid);
    else if (assignments.length === 0) this.#podUids.delete(podKey);
    const cached = new Set(assignments.map(({ metadata }) => metadata.uid));
    const released = this.#released.get(podKey)?.filter((uid) => cached.has(uid)) ?? [];
    if (released.length > 0) this.#released.set(podKey, released);
    else this.#released.delete(podKey);
  }

  /** `pod`: as it is cached. Throws as the client does. */
  async release(current: Assignment, pod: Pod | undefined): Promise<void> {
    const { client, log, isPodAbsent } = this.#options;
    const { podKey } = current;
    const released = this.#released.get(podKey) ?? [];
    if (released.includes(current.metadata.uid)) return;
    // The object of a former leader may be cached before its pod, because each kind has its own watch.
    const wasCached = current.podUid !== undefined && current.podUid === this.#podUids.get(podKey);
    if (pod === undefined && !wasCached && !(await isPodAbsent(podKey))) return;
    await client.release(current);
    this.#released.set(podKey, [...released, current.metadata.uid]);
    log.info({ assignment: current.key, pod: podKey }, 'assignment released');
  }
}
