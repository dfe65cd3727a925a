// Hostile and clumsy namespaces on one scope, over hours, with an Azure that has documented limits: an identity of another namespace is attached within
// two operations of being made. Runs the real reconciler on a clock of the test.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Need } from '../../lib/identities/need.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { silentLogger } from '../../lib/log.ts';
import type { ArmFailure } from '../azure/arm/errors.ts';
import { ArmError } from '../azure/arm/errors.ts';
import { fakeObjects } from '../testing/objects.ts';
import { azureLimits } from './pace.ts';
import { createScopeReconciler } from './reconciler.ts';
import { fakeAzure, fakeRecords, idOf, need, testScope } from './testing/scope.ts';

const second = 1_000;
const minute = 60 * second;
const operationMs = 40 * second;

interface Scenario {
  /** Where Azure refuses a write that holds a bad identity, and whether it names one. */
  failsAt: 'PATCH' | 'end of operation';
  names: boolean;
  /** What Azure answers where it names none. */
  unnamed?: ArmFailure;
  azureCode?: string;
}

/** One scope whose Azure knows no identity with a name that begins with `bad`. */
function simulation({ failsAt, names, unnamed = { code: 'refused', ids: [] }, azureCode }: Scenario) {
  const clock = createFakeClock(0);
  const needs: Need[] = [];
  const azure = fakeAzure();
  const records = fakeRecords();
  const objects = fakeObjects([]);
  const patches: number[] = [];
  const reads: number[] = [];
  const { read, write } = azure.compute;

  azure.compute.read = async (...args) => {
    reads.push(clock.wall());
    return read(...args);
  };
  azure.compute.write = async (scope, change, seen, options = {}) => {
    patches.push(clock.wall());
    const bad = change.attach.filter((id) => id.includes('/bad'));
    if (bad.length === 0) {
      clock.jump(operationMs);
      return write(scope, change, seen, options);
    }
    const failure = names ? ({ code: 'identityNotFound', ids: bad.slice(0, 1) } as const) : unnamed;
    if (failsAt === 'PATCH') throw new ArmError(failure, 'refused', { status: 400, azureCode });
    await options.onOperation?.('https://arm/operation');
    clock.jump(operationMs);
    throw new ArmError(failure, 'failed', { azureCode: 'FailedIdentityOperation' });
  };

  const reconciler = createScopeReconciler({
    needsOf: () => needs,
    scopeOf: () => testScope,
    assignmentOf: objects.assignmentOf,
    compute: azure.compute,
    store: records.store,
    statuses: objects.statuses,
    events: fakeEvents().events,
    log: silentLogger,
    clock,
    random: () => 0,
    mayWrite: () => true,
    isProtected: () => false,
    detachDelayMs: 5 * minute,
    adoptAttached: false,
    pace: azureLimits,
    intervalMs: 3 * minute,
    enqueueStatus: () => undefined,
    onAzureCalled: () => undefined,
  });
  const { signal } = new AbortController();

  return {
    patches,
    reads,
    statusOf: (of: Need) => objects.assignmentOf(of)?.status,
    reasonOf: (of: Need) => objects.assignmentOf(of)?.metadata.annotations?.['aadpodidentity.k8s.io/reason'],
    add(namespace: string, name: string): Need {
      const each = need(`pod-${name}`, name);
      each.match.identity = { ...each.match.identity, key: `${namespace}/${name}`, namespace };
      needs.push(each);
      objects.add(each);
      return each;
    },
    remove(of: Need): void {
      needs.splice(needs.indexOf(of), 1);
    },
    now: () => clock.wall(),
    /** Reconciles as the runner does: after each change, and when the last result asks for it. */
    async run(until: number, changes: { at: number; apply(): void }[] = []): Promise<void> {
      const pending = [...changes].sort((a, b) => a.at - b.at);
      let due = clock.wall();
      while (clock.wall() < until) {
        const change = pending[0]?.at ?? Number.POSITIVE_INFINITY;
        const next = Math.max(clock.wall(), Math.min(due, change, until));
        clock.jump(next - clock.wall());
        if (next >= until) return;
        while ((pending[0]?.at ?? Number.POSITIVE_INFINITY) <= clock.wall()) pending.shift()?.apply();
        const { requeueAfterMs } = await reconciler.reconcile(testScope.id, { signal });
        due = clock.wall() + (requeueAfterMs ?? Number.POSITIVE_INFINITY);
      }
    },
  };
}

type Simulation = ReturnType<typeof simulation>;

/** Within two operations and the time in which changes are collected. */
const patienceMs = 2 * operationMs + 2 * second;

/** Adds an identity of another namespace at that time, and says whether it was attached soon enough. */
function victim(scope: Simulation, at: number, name: string) {
  let made: Need | undefined;
  return {
    change: { at, apply: () => (made = scope.add('victim', name)) },
    async check(): Promise<void> {
      assert.ok(made);
      assert.equal(scope.statusOf(made), 'Assigned', `${name}: ${scope.reasonOf(made) ?? 'no reason'}`);
    },
  };
}

function withinLimits(times: readonly number[], burst: number, perMinute: number): void {
  let tokens = burst;
  let last = 0;
  for (const at of times) {
    tokens = Math.min(burst, tokens + ((at - last) * perMinute) / minute) - 1;
    last = at;
    assert.ok(tokens >= 0, `Azure throttles at ${at} ms`);
  }
}

for (const failsAt of ['PATCH', 'end of operation'] as const)
  for (const names of [true, false])
    describe(`an identity of another namespace, errors ${names ? 'with' : 'without'} a name at the ${failsAt}`, () => {
      it('attaches a good identity while a namespace makes a missing identity every 2 s', async () => {
        const scope = simulation({ failsAt, names });
        const flood = Array.from({ length: 120 }, (_, index) => ({
          at: index * 2 * second,
          apply: () => void scope.add('hostile', `bad${index}`),
        }));
        const late = victim(scope, 45 * second, 'good');
        await scope.run(45 * second + patienceMs, [...flood, late.change]);
        await late.check();
        withinLimits(scope.patches, 12, 4);
        withinLimits(scope.reads, 36, 12);
      });

      it('attaches a good identity while a namespace adds two bad ones every 2 minutes', async () => {
        const scope = simulation({ failsAt, names });
        const changes = Array.from({ length: 3 + 12 }, (_, index) => ({
          at: index < 3 ? 0 : Math.ceil((index - 2) / 2) * 2 * minute,
          apply: () => void scope.add('hostile', `bad${index}`),
        }));
        const late = victim(scope, 3 * minute, 'good');
        await scope.run(3 * minute + patienceMs, [...changes, late.change]);
        await late.check();
      });

      for (const count of [32, 63])
        it(`attaches a good identity while ${count} bad ones are searched`, async () => {
          const scope = simulation({ failsAt, names });
          const bad = Array.from({ length: count }, (_, index) => ({ at: 0, apply: () => void scope.add('hostile', `bad${index}`) }));
          const late = victim(scope, minute, 'good');
          await scope.run(minute + patienceMs, [...bad, late.change]);
          await late.check();
        });

      it('attaches a good identity in two operations at any time of twelve hours', async () => {
        const scope = simulation({ failsAt, names });
        const hours = 12 * 60 * minute;
        const attack: { at: number; apply(): void }[] = [];
        const made: Need[] = [];
        for (let at = 0, index = 0; at < hours; at += 40 * second, index += 1)
          attack.push({
            at,
            apply() {
              made.push(scope.add('hostile', `bad${index}`));
              // Deleted and made anew under another name, so that nothing is remembered of the identity itself.
              const old = made.length > 6 ? made.shift() : undefined;
              if (old !== undefined) scope.remove(old);
            },
          });
        const victims = Array.from({ length: 70 }, (_, index) => victim(scope, (10 * index + 1) * minute, `good${index}`));
        const changes = [...attack, ...victims.map(({ change }) => change)].sort((a, b) => a.at - b.at);
        for (const each of victims) {
          const end = each.change.at + patienceMs;
          await scope.run(
            end,
            changes.splice(
              0,
              changes.findIndex(({ at }) => at > end),
            ),
          );
          await each.check();
        }
        withinLimits(scope.patches, 12, 4);
        withinLimits(scope.reads, 36, 12);
      });
    });

for (const [unnamed, azureCode, reason] of [
  [{ code: 'identityNotFound', ids: [] }, 'ResourceNotFound', 'IdentityNotFound'],
  [{ code: 'identityRoleMissing', ids: [] }, 'LinkedAuthorizationFailed', 'MissingRole'],
  [{ code: 'identityDenied', ids: [] }, 'LinkedAuthorizationFailed', 'DenyAssignment'],
  [{ code: 'identityDisallowed', ids: [] }, 'RequestDisallowedByPolicy', 'PolicyDenied'],
] as const)
  it(`attaches a good identity where Azure hides the bad one behind ${unnamed.code}`, async () => {
    const scope = simulation({ failsAt: 'PATCH', names: false, unnamed, azureCode });
    const bad = scope.add('hostile', 'bad');
    const late = victim(scope, minute, 'good');
    await scope.run(minute + patienceMs, [late.change]);
    await late.check();
    assert.equal(scope.reasonOf(bad), reason);
  });

it('attaches a good identity in one write beside 2000 of another namespace', async () => {
  const scope = simulation({ failsAt: 'PATCH', names: true });
  for (let index = 0; index < 2_000; index += 1) scope.add('hostile', `bad${index}`);
  const late = victim(scope, minute, 'good');
  await scope.run(minute + patienceMs, [late.change]);
  await late.check();
  withinLimits(scope.patches, 12, 4);
});

it('writes the final reason only on an identity that was alone in its write', async () => {
  const scope = simulation({ failsAt: 'PATCH', names: false });
  const many = ['bad1', 'bad2'].map((name) => scope.add('hostile', name));
  await scope.run(200);
  assert.deepEqual(many.map(scope.reasonOf), ['AzureError', 'AzureError']);
  assert.equal(idOf('bad1').includes('/bad'), true);
});
