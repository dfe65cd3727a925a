// One scope in memory under the real reconciler, each reconciliation at a time that the test gives.
import { createFakeClock } from '../../../common/testing/fake-clock.ts';
import type { Need } from '../../../lib/identities/need.ts';
import { fakeEvents } from '../../../lib/identities/testing/events.ts';
import { silentLogger } from '../../../lib/log.ts';
import { fakeObjects } from '../../testing/objects.ts';
import type { ScopeOptions } from '../context.ts';
import { azureLimits } from '../pace.ts';
import { createScopeReconciler } from '../reconciler.ts';
import { fakeAzure, fakeRecords, testScope } from './scope.ts';

export interface ScopeParts {
  /** The test may change the list. */
  needs: Need[];
  azure?: ReturnType<typeof fakeAzure>;
  records?: ReturnType<typeof fakeRecords>;
  options?: Partial<ScopeOptions>;
}

export function scopeHarness(parts: ScopeParts) {
  const azure = parts.azure ?? fakeAzure();
  const records = parts.records ?? fakeRecords();
  const objects = fakeObjects(parts.needs);
  const { events, list: recorded } = fakeEvents();
  const clock = createFakeClock(0);
  const never = new AbortController().signal;
  const azureCalls: number[] = [];
  const reconciler = createScopeReconciler({
    needsOf: () => parts.needs,
    scopeOf: () => testScope,
    assignmentOf: objects.assignmentOf,
    compute: azure.compute,
    store: records.store,
    statuses: objects.statuses,
    events,
    log: silentLogger,
    clock,
    random: () => 0,
    mayWrite: () => true,
    isProtected: () => false,
    detachDelayMs: 0,
    adoptAttached: false,
    pace: azureLimits,
    intervalMs: 60_000,
    enqueueStatus: () => undefined,
    onAzureCalled: (ms) => azureCalls.push(ms),
    ...parts.options,
  });
  const annotationOf = (of: Need, name: string) => objects.assignmentOf(of)?.metadata.annotations?.[`aadpodidentity.k8s.io/${name}`];
  return {
    azure,
    records,
    objects,
    /** Every Event, also repeated ones. */
    recorded,
    reconciler,
    azureCalls,
    /** Reconciles so many milliseconds after the epoch; resolves to the milliseconds until the next time is due, infinite once done. */
    async at(ms: number): Promise<number> {
      clock.jump(ms - clock.wall());
      const { requeueAfterMs, done } = await reconciler.reconcile(testScope.id, { signal: never });
      return done === true ? Number.POSITIVE_INFINITY : (requeueAfterMs ?? Number.NaN);
    },
    reconcileStatus: () => reconciler.reconcileStatus(testScope.id, { signal: never }),
    refresh: () => reconciler.refresh(testScope.id),
    /** A pod arrives, with its object. */
    add(late: Need, status = 'Created'): Need {
      parts.needs.push(late);
      objects.add(late, status);
      return late;
    },
    annotationOf,
    reasonOf: (of: Need) => annotationOf(of, 'reason'),
    statusOf: (of: Need) => objects.assignmentOf(of)?.status,
  };
}
