import assert from 'node:assert/strict';
import { afterEach, describe, it } from 'node:test';
import { systemClock } from '../../common/clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { createEventRecorder } from '../../lib/kube/events.ts';
import { stringAt } from '../../lib/kube/objects.ts';
import { silentLogger } from '../../lib/log.ts';
import type { Conflict, ConflictDetector } from './conflict.ts';
import type { ExclusiveOptions } from './exclusive.ts';
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
function running(options: Partial<Pick<ExclusiveOptions, 'events'>>, ...answers: Answer[][]) {
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
    ...options,
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
    const { asked, log } = running({}, ['none'], ['none']);
    await asked;
    assert.deepEqual(log, ['start']);
  });

  it('does not start the work during a conflict, and records one Event', async () => {
    const { asked, log, events } = running({}, [conflict], [conflict]);
    await asked;
    assert.deepEqual(log, []);
    assert.deepEqual(
      events.map(({ kind, name, reason }) => [kind, name, reason]),
      [['Endpoints', 'lock', 'UpstreamControllerRuns']],
    );
  });

  it('stops the work when a conflict appears, and starts it again afterwards', async () => {
    const { asked, log } = running({}, ['none'], [conflict], ['none']);
    await asked;
    assert.deepEqual(log, ['start', 'stop', 'start']);
  });

  it('records an Event again for a conflict that comes back', async () => {
    const { asked, events } = running({}, ['none'], [conflict], ['none'], [conflict], [conflict]);
    await asked;
    assert.equal(events.length, 2);
  });

  it('sends an Event for each of two equal conflicts within minutes', async () => {
    const notes: string[] = [];
    const client: Pick<KubeClient, 'call'> = {
      call: async (_method, _path, options) => void notes.push(stringAt(options?.body, 'note') ?? ''),
    };
    const recorder = createEventRecorder({ client: client as KubeClient, log: silentLogger, instance: 'test', clock: createFakeClock() });
    const { asked } = running({ events: recorder }, ['none'], [conflict], [conflict], ['none'], [conflict]);
    await asked;
    await recorder.flush();
    assert.deepEqual(notes, [conflict.message, conflict.message]);
  });

  it('neither starts nor stops the work while the answer is unknown', async () => {
    const { asked, log } = running({}, ['unknown'], ['none'], ['unknown']);
    await asked;
    assert.deepEqual(log, ['start']);
  });

  it('does not start the work while one of several detectors has no answer', async () => {
    const { asked, log } = running({}, ['none', 'unknown'], ['unknown', 'none']);
    await asked;
    assert.deepEqual(log, []);
  });

  it('finds the conflict of a later detector where an earlier one has no answer', async () => {
    const { asked, log } = running({}, ['none', 'none'], ['unknown', conflict]);
    await asked;
    assert.deepEqual(log, ['start', 'stop']);
  });

  it('stops the work when it is stopped', async () => {
    const { asked, log, exclusive } = running({}, ['none']);
    await asked;
    await exclusive.stop();
    assert.deepEqual(log, ['start', 'stop']);
  });
});
