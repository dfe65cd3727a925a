import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '../../common/clock.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { silentLogger } from '../../lib/log.ts';
import type { Conflict, ConflictDetector } from './conflict.ts';
import { runExclusively } from './exclusive.ts';

type Answer = Awaited<ReturnType<ConflictDetector>>;

const conflict: Conflict = {
  regarding: { apiVersion: 'v1', kind: 'Endpoints', namespace: 'default', name: 'lock' },
  reason: 'UpstreamControllerRuns',
  message: 'another controller runs',
};

let stop: () => Promise<void> = async () => undefined;
afterEach(() => stop());

/** Answers in turn, then the last one for ever; resolves `asked` when the detector is asked once more after them. */
function running(...answers: Answer[][]) {
  const asked = Promise.withResolvers<void>();
  const log: string[] = [];
  const { events, list } = fakeEvents();
  const rounds = [...answers];
  let round = rounds[0] ?? [];
  const detectors = round.map(
    (_, index): ConflictDetector =>
      async () => {
        if (index === 0) {
          const next = rounds.shift();
          if (next === undefined) asked.resolve();
          round = next ?? round;
        }
        return round[index] ?? 'none';
      },
  );
  const exclusive = runExclusively({
    events,
    log: silentLogger,
    clock: systemClock,
    detectors,
    pollMs: 1,
    start() {
      log.push('start');
      return {
        async stop() {
          log.push('stop');
        },
      };
    },
  });
  stop = () => exclusive.stop();
  return { asked: asked.promise, log, events: list, exclusive };
}

describe('runExclusively', () => {
  it('starts the work once where there is no conflict', async () => {
    const { asked, log } = running(['none'], ['none']);
    await asked;
    assert.deepEqual(log, ['start']);
  });

  it('does not start the work during a conflict, and records one Event', async () => {
    const { asked, log, events } = running([conflict], [conflict]);
    await asked;
    assert.deepEqual(log, []);
    assert.deepEqual(
      events.map(({ kind, name, reason }) => [kind, name, reason]),
      [['Endpoints', 'lock', 'UpstreamControllerRuns']],
    );
  });

  it('stops the work when a conflict appears, and starts it again afterwards', async () => {
    const { asked, log } = running(['none'], [conflict], ['none']);
    await asked;
    assert.deepEqual(log, ['start', 'stop', 'start']);
  });

  it('records an Event again for a conflict that comes back', async () => {
    const { asked, events } = running(['none'], [conflict], ['none'], [conflict], [conflict]);
    await asked;
    assert.equal(events.length, 2);
  });

  it('neither starts nor stops the work while the answer is unknown', async () => {
    const { asked, log } = running(['unknown'], ['none'], ['unknown']);
    await asked;
    assert.deepEqual(log, ['start']);
  });

  it('does not start the work while one of several detectors has no answer', async () => {
    const { asked, log } = running(['none', 'unknown'], ['unknown', 'none']);
    await asked;
    assert.deepEqual(log, []);
  });

  it('finds the conflict of a later detector where an earlier one has no answer', async () => {
    const { asked, log } = running(['none', 'none'], ['unknown', conflict]);
    await asked;
    assert.deepEqual(log, ['start', 'stop']);
  });

  it('stops the work when it is stopped', async () => {
    const { asked, log, exclusive } = running(['none']);
    await asked;
    await exclusive.stop();
    assert.deepEqual(log, ['start', 'stop']);
  });
});
