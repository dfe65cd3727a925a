import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { CountName } from '../api/broker.ts';
import { countNames, formatCounts } from '../api/broker.ts';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { createCountsReader, maxCount, parseCounts } from './counts.ts';

describe('parseCounts', () => {
  it('reads what a sidecar writes', () => {
    const counts = fc.dictionary(fc.constantFrom(...countNames), fc.integer({ min: 0, max: maxCount }));
    fc.assert(
      fc.property(counts, (given) => {
        const sent = new Map(Object.entries(given) as [CountName, number][]);
        assert.deepEqual(parseCounts(formatCounts(sent)), sent);
      }),
    );
  });

  it('gives known names and bounded counts for any text', () => {
    const parts = fc.array(
      fc.tuple(fc.oneof(fc.constantFrom(...countNames), fc.string()), fc.oneof(fc.bigInt(), fc.double(), fc.string())),
    );
    const texts = fc.oneof(
      fc.string(),
      parts.map((all) => all.map(([name, count]) => `${name}:${String(count)}`).join(',')),
    );
    fc.assert(
      fc.property(texts, (text) => {
        for (const [name, count] of parseCounts(text)) {
          assert.ok(countNames.includes(name));
          assert.ok(Number.isInteger(count) && count >= 0 && count <= maxCount, String(count));
        }
      }),
    );
  });

  it('clamps a count, and leaves out names that it does not know', () => {
    assert.deepEqual(
      [...parseCounts('token:999999999999999,newer:1,slow:2')],
      [
        ['token', maxCount],
        ['slow', 2],
      ],
    );
    for (const text of [
      undefined,
      '',
      'token',
      'token:-1',
      'token:1.5',
      'token:1e9',
      `token:${'9'.repeat(16)}`,
      `slow:1,${'x'.repeat(600)}`,
    ])
      assert.equal(parseCounts(text).size, 0, text ?? 'none');
  });
});

describe('createCountsReader', () => {
  it('reads 20 reports of a pod at once, then one in half a minute', async () => {
    const clock = createFakeClock();
    const read = createCountsReader(clock);
    const readTimes = (uid: string, times: number) =>
      Array.from({ length: times }, () => read(uid, 'token:1').size).reduce((sum, size) => sum + size, 0);
    assert.equal(readTimes('hostile', 100), 20);
    assert.equal(readTimes('other', 1), 1);
    await clock.advance(30_000);
    assert.equal(readTimes('hostile', 100), 1);
  });
});
