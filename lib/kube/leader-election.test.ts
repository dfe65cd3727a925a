import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { sleep } from '../../common/sleep.ts';
import type { FakeClock } from '../../common/testing/fake-clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Logger } from '../log.ts';
import { silentLogger } from '../log.ts';
import type { CallOptions, KubeClient, Method } from './client.ts';
import { KubeError } from './errors.ts';
import type { LeaderElectionOptions } from './leader-election.ts';
import { startLeaderElection } from './leader-election.ts';
import { at, isRecord } from './objects.ts';

type Failure = 'refused' | 'answer lost' | 'hangs';

/** One Lease with optimistic locking, as the API server keeps it. */
function createFakeLease(clock: FakeClock) {
  let stored: Record<string, unknown> | undefined;
  let version = 0;
  const fake = {
    /** What happens to the calls of a candidate. */
    failures: new Map<string, Failure | undefined>(),
    /** Runs before each write. */
    beforeWrite: () => {},
    holder: () => at(stored, 'spec', 'holderIdentity'),
    transitions: () => at(stored, 'spec', 'leaseTransitions'),
    labels: () => at(stored, 'metadata', 'labels'),
    /** What `kubectl label lease` does. */
    label(name: string) {
      version += 1;
      if (stored !== undefined)
        stored = { ...stored, metadata: { name: 'lease', labels: { [name]: '' }, resourceVersion: String(version) } };
    },
    /** Another candidate, of whatever kind, writes its name. */
    take(holder: string) {
      version += 1;
      stored = { metadata: { name: 'lease', resourceVersion: String(version) }, spec: { holderIdentity: holder, leaseTransitions: 7 } };
    },
    remove() {
      stored = undefined;
    },
  };

  function write(method: Method, body: unknown): void {
    if (!isRecord(body) || !isRecord(body.spec)) throw new Error('a body was expected');
    if (method === 'POST' && stored !== undefined) throw new KubeError(409, 'AlreadyExists', 'exists');
    if (method === 'PATCH' && stored === undefined) throw new KubeError(404, 'NotFound', 'no lease');
    if (method === 'PATCH' && at(body, 'metadata', 'resourceVersion') !== at(stored, 'metadata', 'resourceVersion'))
      throw new KubeError(409, 'Conflict', 'changed');
    version += 1;
    stored = {
      metadata: { ...(isRecord(stored?.metadata) ? stored.metadata : { name: 'lease' }), resourceVersion: String(version) },
      spec: { ...(isRecord(stored?.spec) ? stored.spec : {}), ...body.spec },
    };
  }

  const clientOf = (candidate: string): KubeClient => ({
    async call(method, _path, options: CallOptions = {}) {
      await Promise.resolve();
      const failure = fake.failures.get(candidate);
      if (failure === 'refused') throw new Error('connection refused');
      if (failure === 'hangs') {
        await sleep(clock, options.timeoutMs ?? 30_000, options.signal ?? new AbortController().signal);
        throw new Error('no answer');
      }
      if (method === 'GET' && stored === undefined) throw new KubeError(404, 'NotFound', 'no lease');
      if (method === 'GET') return structuredClone(stored);
      fake.beforeWrite();
      write(method, options.body);
      if (failure === 'answer lost') throw new Error('socket hang up');
      return structuredClone(stored);
    },
    // biome-ignore lint/correctness/useYield: a Lease is never watched
    async *watch() {
      throw new Error('not watched');
    },
    close: async () => undefined,
  });
  return { fake, clientOf };
}

type Candidate = ReturnType<typeof startCandidate>;

function startCandidate(
  options: { client: KubeClient; clock: FakeClock; active: Set<string> } & Partial<Omit<LeaderElectionOptions, 'clock'>>,
) {
  const { active, identity = 'me' } = options;
  let terms = 0;
  const election = startLeaderElection({
    log: silentLogger,
    namespace: 'ns',
    name: 'lease',
    identity,
    leaseDurationMs: 10_000,
    renewDeadlineMs: 7_000,
    retryPeriodMs: 2_000,
    async onStartedLeading(signal) {
      terms += 1;
      active.add(identity);
      assert.equal(active.size, 1, `two leaders: ${[...active].join(', ')}`);
      await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
      active.delete(identity);
    },
    ...options,
  });
  return { election, terms: () => terms };
}

function harness(t: TestContext) {
  const clock = createFakeClock();
  const active = new Set<string>();
  const { fake, clientOf } = createFakeLease(clock);
  const start = (identity: string, options: Partial<Omit<LeaderElectionOptions, 'clock'>> = {}): Candidate => {
    const candidate = startCandidate({ client: clientOf(identity), clock, active, identity, ...options });
    t.after(() => candidate.election.stop());
    return candidate;
  };
  return { clock, active, fake, start };
}

describe('leader election', () => {
  it('lets one lead, and another at its next attempt after the first stops', async (t) => {
    const { clock, fake, start } = harness(t);
    const first = start('first');
    await clock.advance(0);
    const second = start('second');
    await clock.advance(60_000);
    assert.deepEqual([first.election.leading, second.election.leading], [true, false]);
    await first.election.stop();
    assert.equal(fake.holder(), '');
    await clock.advance(3_000);
    assert.deepEqual([first.election.leading, second.election.leading], [false, true]);
    assert.equal(fake.transitions(), 1);
  });

  it('knows a leader once it sees one renew, not by a Lease that is left', async (t) => {
    const { clock, fake, start } = harness(t);
    fake.take('gone');
    const { election } = start('me');
    await clock.advance(5_000);
    assert.equal(election.known, false);
    fake.take('alive');
    await clock.advance(5_000);
    assert.deepEqual([election.leading, election.known], [false, true]);
    await clock.advance(20_000);
    assert.deepEqual([election.leading, election.known], [true, true]);
  });

  it('takes the Lease of a holder that does not renew it, after the duration', async (t) => {
    const { clock, fake, start } = harness(t);
    fake.take('dead');
    const candidate = start('me');
    await clock.advance(9_999);
    assert.equal(candidate.election.leading, false);
    await clock.advance(4_000);
    assert.equal(candidate.election.leading, true);
    assert.equal(fake.transitions(), 8);
  });

  for (const failure of ['refused', 'hangs'] as const)
    it(`stops leading at the renew deadline when the API server ${failure === 'refused' ? 'refuses' : 'hangs'}`, async (t) => {
      const { clock, active, fake, start } = harness(t);
      const candidate = start('me');
      await clock.advance(2_000);
      fake.failures.set('me', failure);
      await clock.advance(4_999);
      const left = candidate.election.remainingMs();
      assert.equal(left, 2_001);
      await clock.advance(left);
      assert.deepEqual([candidate.election.remainingMs(), [...active]], [0, []]);
      fake.failures.clear();
      await clock.advance(8_000);
      assert.equal(candidate.terms(), 2);
    });

  it('goes on with its term when somebody else changes the Lease at most renewals', async (t) => {
    const { clock, fake, start } = harness(t);
    const candidate = start('me');
    await clock.advance(0);
    let writes = 0;
    fake.beforeWrite = () => {
      writes += 1;
      if (writes % 3 !== 0) fake.label(`label-${writes}`);
    };
    await clock.advance(60_000);
    assert.equal(candidate.terms(), 1);
    assert.equal(candidate.election.leading, true);
  });

  it('stops leading at the renew deadline when every renewal meets a conflict', async (t) => {
    const { clock, fake, start } = harness(t);
    const candidate = start('me');
    await clock.advance(0);
    fake.beforeWrite = () => fake.label('again');
    await clock.advance(6_999);
    assert.equal(candidate.election.leading, true);
    await clock.advance(1);
    assert.equal(candidate.election.leading, false);
  });

  it('stops leading as soon as it sees that another holds the Lease', async (t) => {
    const { clock, active, fake, start } = harness(t);
    const candidate = start('me');
    await clock.advance(0);
    fake.take('other');
    await clock.advance(2_000);
    assert.deepEqual([candidate.election.leading, [...active]], [false, []]);
  });

  it('goes on with its term when the Lease is deleted', async (t) => {
    const { clock, fake, start } = harness(t);
    const candidate = start('me');
    await clock.advance(0);
    fake.remove();
    await clock.advance(60_000);
    assert.equal(candidate.terms(), 1);
    assert.equal(fake.holder(), 'me');
  });

  it('keeps the labels of the Lease when it renews', async (t) => {
    const { clock, fake, start } = harness(t);
    start('me');
    await clock.advance(0);
    fake.label('team');
    await clock.advance(4_000);
    assert.deepEqual(fake.labels(), { team: '' });
  });

  it('does not begin a term before the work of the last one has ended', async (t) => {
    const { clock, fake, start } = harness(t);
    const release = Promise.withResolvers<void>();
    let works = 0;
    const candidate = start('me', {
      async onStartedLeading() {
        works += 1;
        await release.promise;
      },
    });
    await clock.advance(0);
    fake.failures.set('me', 'refused');
    await clock.advance(7_000);
    fake.failures.clear();
    await clock.advance(20_000);
    assert.deepEqual([works, candidate.election.leading, fake.holder()], [1, false, 'me']);
    release.resolve();
    await clock.advance(3_000);
    assert.equal(works, 2);
  });

  it('holds the Lease until the work of the leader has ended after a stop', async (t) => {
    const { clock, fake, start } = harness(t);
    const release = Promise.withResolvers<void>();
    const candidate = start('me', { onStartedLeading: () => release.promise });
    await clock.advance(0);
    const stopped = candidate.election.stop();
    await clock.advance(1_000);
    assert.equal(fake.holder(), 'me');
    release.resolve();
    await stopped;
    assert.equal(fake.holder(), '');
  });

  it('goes on after the work of the leader failed', async (t) => {
    const { clock, start } = harness(t);
    const errors: object[] = [];
    const candidate = start('me', {
      log: { ...silentLogger, error: (fields: object) => void errors.push(fields) } as Logger,
      onStartedLeading: () => assert.fail('broken'),
    });
    await clock.advance(10_000);
    assert.equal(errors.length, 1);
    assert.equal(candidate.election.leading, true);
  });

  it('logs an API server that cannot be reached once a minute', async (t) => {
    const { clock, fake, start } = harness(t);
    const warnings: object[] = [];
    fake.failures.set('me', 'refused');
    start('me', { log: { ...silentLogger, warn: (fields: object) => void warnings.push(fields) } as Logger });
    await clock.advance(59_000);
    assert.deepEqual(warnings, [{ lease: 'ns/lease', identity: 'me', error: 'Error: connection refused' }]);
  });

  it('never has two leaders, whatever fails and whoever comes and goes', async () => {
    const who = fc.constantFrom('a', 'b', 'c');
    const failure = fc.constantFrom<Failure | undefined>('refused', 'answer lost', 'hangs', undefined);
    const command = fc.oneof(
      { weight: 4, arbitrary: fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 12_000 }) }) },
      fc.record({ do: fc.constant('start' as const), who }),
      fc.record({ do: fc.constant('stop' as const), who }),
      fc.record({ do: fc.constant('fail' as const), who, failure }),
      fc.record({ do: fc.constant('label' as const) }),
      fc.record({ do: fc.constant('remove' as const) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(command, { maxLength: 30 }), async (commands) => {
        const clock = createFakeClock();
        const active = new Set<string>();
        const { fake, clientOf } = createFakeLease(clock);
        const candidates = new Map<string, Candidate>();
        const faults: unknown[] = [];
        // A second leader fails in `onStartedLeading`.
        const log = { ...silentLogger, error: (fields: unknown) => void faults.push(fields) } as Logger;
        let serial = 0;
        for (const each of commands) {
          if (each.do === 'advance') await clock.advance(each.ms);
          else if (each.do === 'fail') fake.failures.set(each.who, each.failure);
          else if (each.do === 'label') fake.label('x');
          // Whoever deletes a Lease that is held lets two lead: only a free one goes.
          else if (each.do === 'remove') {
            if (fake.holder() === '') fake.remove();
          } else if (each.do === 'start') {
            serial += 1;
            if (!candidates.has(each.who))
              candidates.set(
                each.who,
                startCandidate({ client: clientOf(each.who), clock, active, log, identity: `${each.who}-${serial}` }),
              );
          } else {
            const stopped = candidates.get(each.who)?.election.stop();
            candidates.delete(each.who);
            await clock.advance(5_000);
            await stopped;
          }
        }
        fake.failures.clear();
        await clock.advance(30_000);
        for (const { election } of candidates.values()) await election.stop();
        assert.deepEqual(faults, []);
        assert.equal(active.size, 0);
        assert.equal(clock.timers, 0);
      }),
      { numRuns: 100 },
    );
  });
});
