// The worker of a scope in memory, and all that its tests look at.
import { afterEach } from 'node:test';
import type { Need } from '../../../lib/identities/need.ts';
import { silentLogger } from '../../../lib/log.ts';
import type { ScopeWorker, ScopeWorkerOptions } from '../scope-worker.ts';
import { runScopeWorker } from '../scope-worker.ts';
import { fakeAzure, fakeObjects, fakeRecords, testScope } from './scope.ts';

export interface ScopeParts {
  needs: Need[];
  azure?: ReturnType<typeof fakeAzure>;
  records?: ReturnType<typeof fakeRecords>;
  isProtected?: (id: string) => boolean;
  mayWrite?: () => boolean;
  reconcileMs?: number;
  adoptAttached?: boolean;
}

const started: ScopeWorker[] = [];
// Also those of a test that failed half-way: their timers would keep the process alive.
afterEach(async () => {
  await Promise.all(started.splice(0).map((worker) => worker.stop()));
});

export function startWorker(options: ScopeWorkerOptions): ScopeWorker {
  const running = runScopeWorker(options);
  started.push(running);
  return running;
}

export function situation(parts: ScopeParts, now: () => Date = () => new Date()) {
  const azure = parts.azure ?? fakeAzure();
  const records = parts.records ?? fakeRecords();
  const objects = fakeObjects(parts.needs);
  const events: string[] = [];
  const options: ScopeWorkerOptions = {
    scope: testScope,
    needs: () => parts.needs,
    assignmentOf: objects.assignmentOf,
    compute: azure.compute,
    records: records.records,
    objects: objects.objects,
    events: { record: (regarding, _type, reason) => events.push(`${regarding.kind} ${reason}`), flush: async () => undefined },
    log: silentLogger,
    mayWrite: parts.mayWrite ?? (() => true),
    isProtected: parts.isProtected ?? (() => false),
    lingerMs: 0,
    adoptAttached: parts.adoptAttached ?? false,
    quietMs: 1,
    maxMs: 5,
    reconcileMs: parts.reconcileMs ?? 60_000,
    now,
    onPass: () => undefined,
    onIdle: () => undefined,
    random: () => 0,
  };
  return { azure, records, objects, events, options };
}

export function worker(parts: ScopeParts) {
  const { azure, records, objects, events, options } = situation(parts);
  const running = startWorker(options);
  const allAssigned = () => parts.needs.every((each) => objects.assignmentOf(each)?.status === 'Assigned');
  const reasonOf = (of: Need) => objects.assignmentOf(of)?.metadata.annotations?.['aadpodidentity.k8s.io/reason'];
  return {
    azure,
    records,
    objects,
    events,
    running,
    assigned: () => objects.until(allAssigned),
    reason: (of: Need, reason: string) => objects.until(() => reasonOf(of) === reason),
  };
}
