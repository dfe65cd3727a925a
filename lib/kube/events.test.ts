// Events tell a person something without flooding anybody.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLogger } from '../log.ts';
import type { KubeClient } from './client.ts';
import { createEventRecorder } from './events.ts';
import { stringAt } from './objects.ts';

function recorder(answer: (body: unknown) => Promise<unknown> = async () => undefined) {
  const notes: string[] = [];
  let time = Date.UTC(2026, 0, 1);
  const client: KubeClient = {
    call: async (_method, _path, options) => {
      notes.push(stringAt(options?.body, 'note') ?? '');
      return answer(options?.body);
    },
    // biome-ignore lint/correctness/useYield: Events are never watched
    watch: async function* () {
      throw new Error('not used');
    },
    close: async () => undefined,
  };
  const events = createEventRecorder({ client, log: silentLogger, instance: 'test', now: () => new Date(time) });
  return { events, notes, pass: (ms: number) => (time += ms) };
}

const about = (name: string) => ({ apiVersion: 'v1', kind: 'Pod', namespace: 'app', name, uid: `uid-${name}` });
const minutes = 60_000;

describe('Events', () => {
  it('are told once in five minutes, and of another object at once', async () => {
    const { events, notes, pass } = recorder();
    for (const name of ['a', 'a', 'b']) events.record(about(name), 'Normal', 'Reason', `of ${name}`);
    pass(5 * minutes);
    events.record(about('a'), 'Normal', 'Reason', 'of a');
    await events.flush();
    assert.deepEqual(notes, ['of a', 'of b', 'of a']);
  });

  it('that differ only in a changing part are the same', async () => {
    const { events, notes } = recorder();
    for (const second of [1, 2, 3]) events.record(about('a'), 'Warning', 'Throttled', `until 12:00:0${second}`, 'until');
    await events.flush();
    assert.deepEqual(notes, ['until 12:00:01']);
  });

  it('about one object are limited, and come back with time', async () => {
    const { events, notes, pass } = recorder();
    for (let index = 0; index < 100; index += 1) events.record(about('a'), 'Normal', 'Reason', `number ${index}`);
    events.record(about('b'), 'Normal', 'Reason', 'another object');
    await events.flush();
    assert.equal(notes.length, 26);
    pass(5 * minutes);
    for (let index = 0; index < 10; index += 1) events.record(about('a'), 'Normal', 'Reason', `later ${index}`);
    await events.flush();
    assert.equal(notes.length, 27);
  });

  it('are sent one at a time, and a refused one does not hold up the next', async () => {
    let underWay = 0;
    const { events, notes } = recorder(async (body) => {
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
