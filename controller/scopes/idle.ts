import type { ReconcileResult } from '../../lib/controller/reconcile.ts';
import type { ScopeContext } from './context.ts';
import { idleAt } from './state.ts';

/** Nodes come and go under new names: a scope that nothing needs and where nothing is ours is forgotten after one interval, with its record. */
export async function forgetIdle(context: ScopeContext, now: number): Promise<ReconcileResult> {
  const { entry, scope, store, log, intervalMs } = context;
  entry.state = idleAt(entry.state, now);
  const remainingMs = (entry.state.idleSince ?? now) + intervalMs - now;
  if (remainingMs > 0) return { requeueAfterMs: remainingMs };
  try {
    const stored = await store.load(scope.id);
    if (stored.record.paused) log.info({ scope: scope.displayId }, 'idle scope forgotten; its record stays, since a person paused it');
    else {
      await store.remove(stored);
      log.info({ scope: scope.displayId }, 'idle scope forgotten, its record is removed');
    }
  } catch (error) {
    log.warn({ scope: scope.displayId, error: String(error) }, 'record of an idle scope not removed');
    return { requeueAfterMs: intervalMs };
  }
  return { done: true };
}
