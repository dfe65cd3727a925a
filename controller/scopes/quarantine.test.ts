import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Write } from '../azure/arm/identity-map.ts';
import type { Isolation } from './quarantine.ts';
import { afterWrite, entryKey, forgetUnwanted, noIsolation, selectWrite } from './quarantine.ts';

const minute = 60_000;
const keys = (write: Write) => [...write.attach.map((id) => entryKey('attach', id)), ...write.detach.map((id) => entryKey('detach', id))];
const without = (write: Write, done: ReadonlySet<string>): Write => ({
  attach: write.attach.filter((id) => !done.has(entryKey('attach', id))),
  detach: write.detach.filter((id) => !done.has(entryKey('detach', id))),
});

/** A scope whose Azure refuses every write that holds something bad, and names up to `naming` of them. */
function simulate(wanted: Write, bad: ReadonlySet<string>, naming: number, untilMs: number) {
  let isolation: Isolation = noIsolation;
  let now = 0;
  const landed = new Map<string, number>();
  const writes: { at: number; trial: boolean; write: Write }[] = [];
  while (now <= untilMs) {
    const selection = selectWrite(isolation, without(wanted, new Set(landed.keys())), now);
    const { write, trial } = selection;
    if (write === undefined) {
      if (selection.nextAt === undefined) break;
      assert.ok(selection.nextAt > now, 'waiting moves on');
      now = selection.nextAt;
      continue;
    }
    writes.push({ at: now, trial, write });
    const offenders = keys(write).filter((key) => bad.has(key));
    const culprits = new Set(offenders.slice(0, naming).map((key) => key.slice(key.indexOf(' ') + 1)));
    isolation = afterWrite(isolation, { write, trial }, offenders.length === 0 ? { ok: true } : { ok: false, culprits }, now);
    if (offenders.length === 0) for (const key of keys(write)) landed.set(key, now);
    now += 1000;
  }
  return { isolation, landed, writes };
}

const situations = fc
  .record({
    attach: fc.integer({ min: 0, max: 12 }),
    detach: fc.integer({ min: 0, max: 12 }),
    badShare: fc.array(fc.nat({ max: 23 }), { maxLength: 4 }),
    naming: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ attach, detach, badShare, naming }) => {
    const wanted: Write = {
      attach: Array.from({ length: attach }, (_, index) => `a${index}`),
      detach: Array.from({ length: detach }, (_, index) => `d${index}`),
    };
    const all = keys(wanted);
    return { wanted, naming, bad: new Set(all.length === 0 ? [] : badShare.map((index) => all[index % all.length] ?? '')) };
  });

describe('over any mix of good and bad', () => {
  test('all good ones land within the hours that the budget allows, no bad one does', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const { landed } = simulate(wanted, bad, naming, 240 * minute);
        assert.deepEqual(new Set(landed.keys()), new Set(keys(wanted).filter((key) => !bad.has(key))));
      }),
    );
  });

  test('the search takes at most 4 writes in any 10 minutes', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const trials = simulate(wanted, bad, naming, 240 * minute)
          .writes.filter(({ trial }) => trial)
          .map(({ at }) => at);
        for (const [index, at] of trials.entries()) {
          const fifth = trials[index + 4];
          assert.ok(fifth === undefined || fifth - at >= 10 * minute);
        }
      }),
    );
  });

  test('what was never part of a failure is never written together with what was, nor held back by it', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const { isolation } = simulate(wanted, bad, naming, 3 * minute);
        const fresh: Write = { attach: ['new'], detach: [] };
        const selection = selectWrite(isolation, { attach: [...wanted.attach, 'new'], detach: wanted.detach }, 3 * minute);
        const known = new Set([...isolation.quarantine.keys(), ...isolation.suspects.flatMap(keys)]);
        assert.ok(selection.write?.attach.includes('new'));
        assert.deepEqual(
          keys(selection.write ?? fresh).filter((key) => known.has(key)),
          [],
        );
      }),
    );
  });
});

describe('one bad entry', () => {
  test('that the error names costs one more write for the others', () => {
    const { landed, writes } = simulate({ attach: ['a', 'bad', 'c'], detach: ['d'] }, new Set(['attach bad']), 1, 30_000);
    assert.deepEqual(
      writes.map(({ write }) => write.attach),
      [
        ['a', 'bad', 'c'],
        ['a', 'c'],
      ],
    );
    assert.equal(landed.size, 3);
  });

  test('that is a removal never delays adds: the next write holds them alone', () => {
    const { writes } = simulate({ attach: ['a', 'b'], detach: ['bad', 'c'] }, new Set(['detach bad']), 0, 30_000);
    assert.deepEqual(writes[1]?.write, { attach: ['a', 'b'], detach: [] });
  });

  test('that nobody names is found by halving', () => {
    const wanted = { attach: ['a', 'b', 'c', 'd', 'e', 'bad', 'g', 'h'], detach: [] };
    const { landed, isolation } = simulate(wanted, new Set(['attach bad']), 0, 20 * minute);
    assert.equal(landed.size, 7);
    assert.deepEqual([...isolation.quarantine.keys()], ['attach bad']);
    assert.ok([...landed.values()].every((at) => at < 11 * minute));
  });

  test('is tried again, alone, after 1, 2, 4 ... 60 minutes', () => {
    const { writes } = simulate({ attach: ['bad'], detach: [] }, new Set(['attach bad']), 0, 300 * minute);
    const gaps = writes.map(({ at }, index) => (at - (writes[index - 1]?.at ?? 0)) / minute);
    assert.deepEqual(gaps.slice(1).map(Math.round), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test('is out for one direction only, and free again once it succeeded', () => {
    const failed = afterWrite(noIsolation, { write: { attach: ['x'], detach: [] }, trial: false }, { ok: false, culprits: new Set() }, 0);
    assert.deepEqual(selectWrite(failed, { attach: [], detach: ['x'] }, 0).write, { attach: [], detach: ['x'] });
    assert.equal(selectWrite(failed, { attach: ['x'], detach: [] }, 0).write, undefined);
    const retry = selectWrite(failed, { attach: ['x'], detach: [] }, minute);
    assert.ok(retry.write !== undefined && retry.trial);
    const healed = afterWrite(failed, { write: retry.write, trial: retry.trial }, { ok: true }, minute);
    assert.deepEqual([...healed.quarantine], []);
  });
});

test('what is wanted no more is forgotten', () => {
  const unnamed = { ok: false, culprits: new Set<string>() } as const;
  const failed = afterWrite(noIsolation, { write: { attach: ['a', 'b'], detach: ['c'] }, trial: false }, unnamed, 0);
  assert.deepEqual(failed.suspects.length, 2);
  const left = forgetUnwanted(failed, { attach: ['b'], detach: [] });
  assert.deepEqual(left.suspects, [{ attach: ['b'], detach: [] }]);
  const named = afterWrite(noIsolation, { write: { attach: ['a'], detach: [] }, trial: false }, { ok: false, culprits: new Set(['a']) }, 0);
  assert.deepEqual([...forgetUnwanted(named, { attach: ['b'], detach: [] }).quarantine.keys()], []);
});

test('those that Azure did not name go on at once and spend no trial, however many bad ones come', () => {
  let isolation = noIsolation;
  for (let bad = 0; bad < 10; bad += 1) {
    const wanted = { attach: [`bad-${bad}`, 'good'], detach: [] };
    const first = selectWrite(isolation, wanted, bad);
    assert.deepEqual(first.write, wanted);
    isolation = afterWrite(isolation, { write: wanted, trial: first.trial }, { ok: false, culprits: new Set([`bad-${bad}`]) }, bad);
    const second = selectWrite(isolation, wanted, bad);
    assert.deepEqual([second.write, second.trial], [{ attach: ['good'], detach: [] }, false]);
    isolation = afterWrite(isolation, { write: { attach: ['good'], detach: [] }, trial: false }, { ok: true }, bad);
  }
});
