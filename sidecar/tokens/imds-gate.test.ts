import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { Release, Visitor } from './imds-gate.ts';
import { createImdsGate } from './imds-gate.ts';

function harness() {
  const clock = createFakeClock();
  const gate = createImdsGate(clock);
  const startMs = clock.now();
  /** What each visitor got, in order, with the milliseconds since the start. */
  const results: string[] = [];
  const releases = new Map<string, Release>();
  const enter = (name: string, visitor: Visitor) =>
    void gate.enter(visitor).then((result) => {
      results.push(`${name} ${typeof result === 'string' ? result : clock.now() - startMs}`);
      if (typeof result !== 'string') releases.set(name, result);
    });
  const release = async (name: string, success = true) => {
    await clock.advance(0);
    releases.get(name)?.(success);
    releases.delete(name);
    await clock.advance(0);
  };
  return { clock, results, enter, release };
}

describe('IMDS gate', () => {
  it('admits one request, two after a success and one after a failure', async () => {
    const { clock, results, enter, release } = harness();
    for (const name of ['a', 'b', 'c', 'd', 'e']) enter(name, { lane: 'token' });
    await clock.advance(0);
    assert.deepEqual(results, ['a 0']);
    await release('a');
    assert.deepEqual(results, ['a 0', 'b 0', 'c 0']);
    await release('b', false);
    assert.equal(results.length, 3, 'c still runs');
    await release('c');
    assert.deepEqual(results.slice(3), ['d 0', 'e 0']);
  });

  it('removes an aborted visitor from the queue', async () => {
    const { clock, results, enter, release } = harness();
    const aborting = new AbortController();
    enter('a', { lane: 'token' });
    enter('b', { lane: 'token', signal: aborting.signal });
    enter('c', { lane: 'token' });
    aborting.abort();
    await release('a', false);
    enter('d', { lane: 'token', signal: aborting.signal });
    await clock.advance(0);
    assert.deepEqual(results, ['a 0', 'b aborted', 'c 0', 'd aborted']);
  });

  it('admits tokens before documents, and one document at a time', async () => {
    const { clock, results, enter, release } = harness();
    enter('token a', { lane: 'token' });
    for (const name of ['document a', 'document b']) enter(name, { lane: 'document' });
    enter('token b', { lane: 'token' });
    await release('token a');
    assert.deepEqual(results, ['token a 0', 'token b 0', 'document a 0']);
    await release('token b');
    assert.equal(results.length, 3, 'document a still runs');
    await release('document a');
    assert.deepEqual(results.slice(3), ['document b 0']);
    await clock.advance(0);
  });

  it('admits a token beside a document that hangs, also after a failure', async () => {
    const { results, enter, release } = harness();
    enter('slow', { lane: 'document' });
    enter('a', { lane: 'token' });
    await release('a', false);
    enter('b', { lane: 'token' });
    await release('b', false);
    assert.deepEqual(results, ['slow 0', 'a 0', 'b 0']);
  });

  it('admits 10 requests a second after a burst of 20, of these 5 documents', async () => {
    for (const [lane, burst, perSecond] of [
      ['token', 20, 10],
      ['document', 5, 5],
    ] as const) {
      const { clock, results, enter, release } = harness();
      for (let n = 0; n < 60; n += 1) enter(String(n), { lane });
      for (let at = 0; at <= 2000; at += 50) {
        for (let n = 0; n < results.length; n += 1) await release(String(n));
        await clock.advance(50);
      }
      assert.ok(Math.abs(results.length - burst - 2 * perSecond) <= 1, `${lane}: ${results.length}`);
    }
  });

  it('is full for a visitor with patience while 20 wait, or after its time', async () => {
    const { clock, results, enter } = harness();
    for (let n = 0; n < 21; n += 1) enter(String(n), { lane: 'document', patienceMs: 1000 });
    enter('one more', { lane: 'document', patienceMs: 1000 });
    enter('token', { lane: 'token' });
    await clock.advance(999);
    assert.deepEqual(results, ['0 0', 'one more full', 'token 0']);
    await clock.advance(1);
    assert.equal(results.filter((result) => result.endsWith(' full')).length, 21);
    assert.equal(clock.timers, 0);
  });
});
