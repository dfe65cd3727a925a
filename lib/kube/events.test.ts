import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { silentLogger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { createEventRecorder, eventName } from './events.ts';
import { stringAt } from './objects.ts';

function harness(answer: (body: unknown, signal?: AbortSignal) => Promise<unknown> = async () => undefined) {
  const notes: string[] = [];
  const clock = createFakeClock();
  const client: KubeClient = {
    call: async (_method, _path, options) => {
      notes.push(stringAt(options?.body, 'note') ?? '');
      return answer(options?.body, options?.signal);
    },
    // biome-ignore lint/correctness/useYield: Events are never watched
    watch: async function* () {
      throw new Error('not used');
    },
    close: async () => undefined,
  };
  const events = createEventRecorder({ client, log: silentLogger, instance: 'test', clock });
  return { events, notes, clock };
}

const about = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', namespace: 'app', name, uid: `uid-${name}` });
const minutes = 60_000;

describe('event recorder', () => {
  it('sends the same Event once in five minutes, that of another object at once', async () => {
    const { events, notes, clock } = harness();
    for (const name of ['a', 'a', 'b']) events.record(about(name), 'Normal', 'Reason', `of ${name}`);
    await clock.advance(5 * minutes);
    events.record(about('a'), 'Normal', 'Reason', 'of a');
    await events.flush();
    assert.deepEqual(notes, ['of a', 'of b', 'of a']);
  });

  it('takes Events that differ in a changing part only for the same', async () => {
    const { events, notes } = harness();
    for (const second of [1, 2, 3]) events.record(about('a'), 'Warning', 'Throttled', `until 12:00:0${second}`, 'until');
    await events.flush();
    assert.deepEqual(notes, ['until 12:00:01']);
  });

  it('limits the Events of one object to a burst, then to one in five minutes', async () => {
    const { events, notes, clock } = harness();
    for (let index = 0; index < 100; index += 1) events.record(about('a'), 'Normal', 'Reason', `number ${index}`);
    events.record(about('b'), 'Normal', 'Reason', 'another object');
    await events.flush();
    assert.equal(notes.length, 26);
    await clock.advance(5 * minutes);
    for (let index = 0; index < 10; index += 1) events.record(about('a'), 'Normal', 'Reason', `later ${index}`);
    await events.flush();
    assert.equal(notes.length, 27);
  });

  it('sends the Event of one namespace before the flood of another', async () => {
    const { events, notes } = harness();
    for (let index = 0; index < 10_000; index += 1) events.record(about(`flood-${index}`), 'Warning', 'Reason', 'flood');
    events.record({ ...about('b'), namespace: 'calm' }, 'Normal', 'Reason', 'calm');
    await events.flush();
    assert.ok(notes.indexOf('calm') <= 2, `sent as number ${notes.indexOf('calm')}`);
    assert.equal(notes.length, 4097);
  });

  it('drops what is not sent two seconds after a flush began', async () => {
    const { events, notes, clock } = harness(
      (_body, signal) => new Promise((_resolve, reject) => signal?.addEventListener('abort', reject)),
    );
    for (const note of ['hangs', 'waits']) events.record(about('a'), 'Normal', 'Reason', note);
    const flushed = events.flush();
    await clock.advance(2000);
    await flushed;
    assert.deepEqual(notes, ['hangs']);
  });

  it('sends one Event at a time and goes on after a refused one', async () => {
    let underWay = 0;
    const { events, notes } = harness(async (body) => {
      underWay += 1;
      assert.equal(underWay, 1);
      await Promise.resolve();
      underWay -= 1;
      if (stringAt(body, 'note') === 'first') throw new Error('refused');
    });
    for (const note of ['first', 'second']) events.record(about('a'), 'Normal', 'Reason', note);
    await events.flush();
    assert.deepEqual(notes, ['first', 'second']);
  });
});

describe('eventName', () => {
  for (const { name, start } of [
    { name: 'web-0', start: 'web-0' },
    { name: 'a.b', start: 'a.b' },
    { name: `${'a'.repeat(199)}.tail`, start: 'a'.repeat(199) },
    { name: `${'a'.repeat(198)}-.tail`, start: 'a'.repeat(198) },
    { name: 'Web-0', start: 'pod' },
    { name: 'system:node', start: 'pod' },
    { name: '-', start: 'pod' },
    { name: '', start: 'pod' },
  ])
    it(`makes an Event name that begins with ${start.slice(0, 8)} for '${name.slice(0, 8)}' of ${name.length} characters`, () =>
      assert.equal(eventName({ kind: 'Pod', name }, '1f'), `${start}.1f`));

  it('makes a valid Event name of at most 253 characters for any object', () => {
    const labels = fc.array(fc.stringMatching(/^[a-z0-9-]{1,63}$/), { minLength: 1, maxLength: 6 }).map((parts) => parts.join('.'));
    fc.assert(
      fc.property(fc.oneof(labels, fc.string()), (name) => {
        const made = eventName({ kind: 'Pod', name }, '19b7f3a2c001');
        assert.ok(made.length <= 253);
        for (const label of made.split('.')) assert.match(label, /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/);
      }),
    );
  });
});
