import type { RunnerOptions } from '../../lib/controller/runner.ts';
import { startRunner } from '../../lib/controller/runner.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { Logger } from '../../lib/log.ts';
import type { AssignmentClient } from './client.ts';

export interface ReleaseAllOptions extends Pick<RunnerOptions, 'concurrency' | 'metrics'> {
  informers: Pick<Informers, 'assignments'>;
  client: Pick<AssignmentClient, 'release'>;
  log: Logger;
}

/**
 * Releases the objects that this controller made in standard mode, for managed mode assigns nothing: they would say Assigned for ever, and their
 * finalizers would hold their namespaces. Identities stay attached. Objects of aad-pod-identity stay as they are. The caches must have synced.
 */
export function releaseAll({ informers, client, log, concurrency, metrics }: ReleaseAllOptions): { stop(): Promise<void> } {
  const { assignments } = informers;
  const runner = startRunner({
    name: 'release-all',
    async reconcile(key) {
      const current = assignments.get(key);
      if (current !== undefined) await client.release(current);
      return { done: true };
    },
    concurrency,
    log,
    metrics,
  });
  const ours = [...assignments.values()].filter(({ podUid }) => podUid !== undefined);
  for (const { key } of ours) runner.enqueue(key);
  if (ours.length > 0) log.warn({ assignments: ours.length }, 'managed mode: assignments of standard mode are released');
  return runner;
}
