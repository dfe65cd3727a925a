// In managed mode nothing is assigned. What was, before the mode was changed, would stand at Assigned for ever, and its finalizer hold its namespace.

import { createWorkQueue } from '../../lib/controller/work-queue.ts';
import type { Informers } from '../../lib/identities/informers.ts';
import type { Logger } from '../../lib/log.ts';
import type { AssignedIdentities } from './client.ts';

/** The caches must have synced. Azure is left as it is. */
export function releaseLeftOver(options: {
  informers: Pick<Informers, 'assignments'>;
  objects: Pick<AssignedIdentities, 'release'>;
  log: Logger;
}): { stop(): Promise<void> } {
  const { assignments } = options.informers;
  const queue = createWorkQueue({
    concurrency: 20,
    async work(key) {
      const left = assignments.get(key);
      if (left !== undefined) await options.objects.release(left);
    },
    onError: (assignment, error, retryMs) =>
      options.log.warn({ assignment, error: String(error), retryMs: Math.round(retryMs) }, 'assignment of another mode not released'),
  });
  // An object without our note is a MIC's.
  const ours = [...assignments.values()].filter(({ podUid }) => podUid !== undefined);
  for (const { key } of ours) queue.add(key);
  if (ours.length > 0)
    options.log.warn(
      { assignments: ours.length },
      'managed mode assigns nothing: objects of before are released, identities stay attached',
    );
  return queue;
}
