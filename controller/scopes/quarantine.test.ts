import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { Write } from '../azure/arm/identity-map.ts';
import type { Quarantine } from './quarantine.ts';
import { afterWrite, emptyQuarantine, entryKey, forgetUnwanted, selectWrite } from './quarantine.ts';

const minute = 60_000;
const keys = (write: Write) => [...write.attach.map((id) => entryKey('attach', id)), ...write.detach.map((id) => entryKey('detach', id))];
const without = (write: Write, done: ReadonlySet<string>): Write => ({
  attach: write.attach.filter((id) => !done.has(entryKey('attach', id))),
  detach: write.detach.filter((id) => !done.has(entryKey('detach', id))),
});

/** A scope whose Azure refuses every write that holds something bad, and names up to `naming` of them. */
function simulate(wanted: Write, bad: ReadonlySet<string>, naming: number, untilMs: number) {
  let quarantine: Quarantine = emptyQuarantine;
  let now = 0;
  const landed = new Map<string, number>();
  const writes: { at: number; trial: boolean; write: Write }[] = [];
  while (now <= untilMs) {
    const selection = selectWrite(quarantine, without(wanted, new Set(landed.keys())), now);
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
    quarantine = afterWrite(quarantine, { write, trial }, offenders.length === 0 ? { ok: true } : { ok: false, culprits }, now);
    if (offenders.length === 0) for (const key of keys(write)) landed.set(key, now);
    now += 1000;
  }
  return { quarantine, landed, writes };
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

describe('quarantine over any mix of good and bad identities', () => {
  test('lets every good identity through within four hours and no bad one', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const { landed } = simulate(wanted, bad, naming, 240 * minute);
        assert.deepEqual(new Set(landed.keys()), new Set(keys(wanted).filter((key) => !bad.has(key))));
      }),
    );
  });

  test('spends at most 4 trials in any 10 minutes', () => {
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

  test('never holds back, or mixes with suspects, what was no part of a failure', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const { quarantine } = simulate(wanted, bad, naming, 3 * minute);
        const fresh: Write = { attach: ['new'], detach: [] };
        const selection = selectWrite(quarantine, { attach: [...wanted.attach, 'new'], detach: wanted.detach }, 3 * minute);
        const known = new Set([...quarantine.entries.keys(), ...quarantine.suspects.flatMap(keys)]);
        assert.ok(selection.write?.attach.includes('new'));
        assert.deepEqual(
          keys(selection.write ?? fresh).filter((key) => known.has(key)),
          [],
        );
      }),
    );
  });
});

describe('quarantine of one bad entry', () => {
  test('costs the others one more write where the error names it', () => {
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

  test('attaches first where a removal may be the bad one', () => {
    const { writes } = simulate({ attach: ['a', 'b'], detach: ['bad', 'c'] }, new Set(['detach bad']), 0, 30_000);
    assert.deepEqual(writes[1]?.write, { attach: ['a', 'b'], detach: [] });
  });

  test('finds an unnamed bad identity by halving', () => {
    const wanted = { attach: ['a', 'b', 'c', 'd', 'e', 'bad', 'g', 'h'], detach: [] };
    const { landed, quarantine } = simulate(wanted, new Set(['attach bad']), 0, 20 * minute);
    assert.equal(landed.size, 7);
    assert.deepEqual([...quarantine.entries.keys()], ['attach bad']);
    assert.ok([...landed.values()].every((at) => at < 11 * minute));
  });

  test('tries a bad identity again, alone, after 1, 2, 4 ... 60 minutes', () => {
    const { writes } = simulate({ attach: ['bad'], detach: [] }, new Set(['attach bad']), 0, 300 * minute);
    const gaps = writes.map(({ at }, index) => (at - (writes[index - 1]?.at ?? 0)) / minute);
    assert.deepEqual(gaps.slice(1).map(Math.round), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  test('holds one direction only and ends with a success', () => {
    const failed = afterWrite(
      emptyQuarantine,
      { write: { attach: ['x'], detach: [] }, trial: false },
      { ok: false, culprits: new Set() },
      0,
    );
    assert.deepEqual(selectWrite(failed, { attach: [], detach: ['x'] }, 0).write, { attach: [], detach: ['x'] });
    assert.equal(selectWrite(failed, { attach: ['x'], detach: [] }, 0).write, undefined);
    const retry = selectWrite(failed, { attach: ['x'], detach: [] }, minute);
    assert.ok(retry.write !== undefined && retry.trial);
    const healed = afterWrite(failed, { write: retry.write, trial: retry.trial }, { ok: true }, minute);
    assert.deepEqual([...healed.entries], []);
  });
});

test('forgets what is no longer wanted', () => {
  const unnamed = { ok: false, culprits: new Set<string>() } as const;
  const failed = afterWrite(emptyQuarantine, { write: { attach: ['a', 'b'], detach: ['c'] }, trial: false }, unnamed, 0);
  assert.deepEqual(failed.suspects.length, 2);
  const left = forgetUnwanted(failed, { attach: ['b'], detach: [] });
  assert.deepEqual(left.suspects, [{ attach: ['b'], detach: [] }]);
  const named = afterWrite(
    emptyQuarantine,
    { write: { attach: ['a'], detach: [] }, trial: false },
    { ok: false, culprits: new Set(['a']) },
    0,
  );
  assert.deepEqual([...forgetUnwanted(named, { attach: ['b'], detach: [] }).entries.keys()], []);
});

test('lets unnamed identities go on at once, however many bad ones are named', () => {
  let quarantine = emptyQuarantine;
  for (let bad = 0; bad < 10; bad += 1) {
    const wanted = { attach: [`bad-${bad}`, 'good'], detach: [] };
    const first = selectWrite(quarantine, wanted, bad);
    assert.deepEqual(first.write, wanted);
    quarantine = afterWrite(quarantine, { write: wanted, trial: first.trial }, { ok: false, culprits: new Set([`bad-${bad}`]) }, bad);
    const second = selectWrite(quarantine, wanted, bad);
    assert.deepEqual([second.write, second.trial], [{ attach: ['good'], detach: [] }, false]);
    quarantine = afterWrite(quarantine, { write: { attach: ['good'], detach: [] }, trial: false }, { ok: true }, bad);
  }
});
