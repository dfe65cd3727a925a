import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Entry, Quarantine } from './quarantine.ts';
import { afterWrite, emptyQuarantine, forgetUnwanted, keyOf, lift, windowMs } from './quarantine.ts';
import { selectWrite } from './select-write.ts';

const minute = 60_000;
const attach = (namespace: string, ...ids: string[]): Entry[] => ids.map((id) => ({ direction: 'attach', id, namespace }));
const detach = (...ids: string[]): Entry[] => ids.map((id) => ({ direction: 'detach', id, namespace: '' }));
const idsOf = (entries: readonly Entry[]) => entries.map(({ id }) => id);
const failed = (culprits: string[] = []) => ({ ok: false, culprits: new Set(culprits) }) as const;

/** A scope whose Azure refuses every write that holds something bad, and names up to `naming` of them. A write takes a second. */
function simulate(wanted: readonly Entry[], bad: ReadonlySet<string>, naming: number, untilMs: number) {
  let quarantine: Quarantine = emptyQuarantine;
  let now = 0;
  const landed = new Map<string, number>();
  const writes: { at: number; trial: boolean; entries: readonly Entry[] }[] = [];
  while (now <= untilMs) {
    const left = wanted.filter((entry) => !landed.has(keyOf(entry)));
    const { entries, trial, nextAt } = selectWrite(quarantine, left, now);
    if (entries.length === 0) {
      if (!Number.isFinite(nextAt)) break;
      assert.ok(nextAt > now, 'waiting moves on');
      now = nextAt;
      continue;
    }
    writes.push({ at: now, trial, entries });
    const offenders = entries.filter((entry) => bad.has(keyOf(entry)));
    const outcome = offenders.length === 0 ? ({ ok: true } as const) : failed(idsOf(offenders.slice(0, naming)));
    quarantine = afterWrite(quarantine, { entries, trial }, outcome, now);
    if (offenders.length === 0) for (const entry of entries) landed.set(keyOf(entry), now);
    now += 1000;
  }
  return { quarantine, landed, writes };
}

const situations = fc
  .record({
    attach: fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 12 }),
    detach: fc.integer({ min: 0, max: 12 }),
    badShare: fc.array(fc.nat({ max: 23 }), { maxLength: 4 }),
    naming: fc.integer({ min: 0, max: 3 }),
  })
  .map(({ attach: namespaces, detach: removals, badShare, naming }) => {
    const wanted = [
      ...namespaces.flatMap((namespace, index) => attach(namespace, `${namespace}${index}`)),
      ...detach(...Array.from({ length: removals }, (_, index) => `d${index}`)),
    ];
    const keys = wanted.map(keyOf);
    return { wanted, naming, bad: new Set(keys.length === 0 ? [] : badShare.map((index) => keys[index % keys.length] ?? '')) };
  });

describe('quarantine over any mix of good and bad identities', () => {
  it('lets every good identity through within four hours and no bad one', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const { landed } = simulate(wanted, bad, naming, 240 * minute);
        assert.deepEqual(new Set(landed.keys()), new Set(wanted.map(keyOf).filter((key) => !bad.has(key))));
      }),
    );
  });

  it('fails trials of a namespace by itself at most 5 times in any 10 minutes', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const isBad = (entries: readonly Entry[]) => entries.some((entry) => bad.has(keyOf(entry)));
        const trials = simulate(wanted, bad, naming, 240 * minute).writes.filter(({ trial, entries }) => trial && isBad(entries));
        for (const namespace of new Set(wanted.map((entry) => entry.namespace))) {
          const times = trials.filter(({ entries }) => entries.every((entry) => entry.namespace === namespace)).map(({ at }) => at);
          for (const [index, at] of times.entries()) {
            // The first one may find that it is to blame; four more are its budget.
            const sixth = times[index + 5];
            assert.ok(sixth === undefined || sixth - at >= windowMs);
          }
        }
      }),
    );
  });

  it('writes a namespace without suspicion at once and apart from suspects', () => {
    fc.assert(
      fc.property(situations, ({ wanted, bad, naming }) => {
        const { quarantine, landed } = simulate(wanted, bad, naming, 3 * minute);
        const left = wanted.filter((entry) => !landed.has(keyOf(entry)));
        const { entries } = selectWrite(quarantine, [...left, ...attach('new', 'n')], 3 * minute);
        assert.ok(idsOf(entries).includes('n'));
        assert.ok(!entries.some((entry) => quarantine.held.has(keyOf(entry)) || quarantine.suspects.flat().includes(keyOf(entry))));
      }),
    );
  });

  it('lets a good namespace through in one of the two writes after a mixed one', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 63 }), fc.integer({ min: 0, max: 2 }), (count, naming) => {
        const bad = attach('bad', ...Array.from({ length: count }, (_, index) => `bad${index}`));
        const { writes } = simulate([...bad, ...attach('good', 'g')], new Set(bad.map(keyOf)), naming, minute);
        assert.ok(writes.slice(1, 3).some(({ entries }) => idsOf(entries).join() === 'g'));
      }),
    );
  });
});

describe('quarantine of one bad identity', () => {
  it('costs the others of its write one more write where the error names it', () => {
    const wanted = [...attach('x', 'a', 'bad'), ...attach('y', 'c'), ...detach('d')];
    const { landed, writes } = simulate(wanted, new Set(['attach bad']), 1, 30_000);
    assert.deepEqual(
      writes.slice(0, 3).map(({ entries }) => idsOf(entries)),
      [['a', 'bad', 'c', 'd'], ['c', 'd'], ['a']],
    );
    assert.equal(landed.size, 3);
  });

  it('attaches first where a removal may be the bad one', () => {
    for (const removals of [['bad'], ['bad', 'c', 'd']]) {
      const { writes } = simulate([...attach('x', 'a', 'b'), ...detach(...removals)], new Set(['detach bad']), 0, 30_000);
      assert.deepEqual(idsOf(writes[1]?.entries ?? []), ['a', 'b']);
    }
  });

  it('finds an unnamed bad identity of one namespace by halving', () => {
    const wanted = attach('x', 'a', 'b', 'c', 'd', 'e', 'bad', 'g', 'h');
    const { landed, quarantine } = simulate(wanted, new Set(['attach bad']), 0, 20 * minute);
    assert.equal(landed.size, 7);
    assert.deepEqual([...quarantine.held.keys()], ['attach bad']);
    assert.ok([...landed.values()].every((at) => at < 11 * minute));
  });

  it('finds an unnamed bad namespace by halving the namespaces', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'bad', 'g', 'h'];
    const { landed } = simulate(
      names.flatMap((name) => attach(name, name)),
      new Set(['attach bad']),
      0,
      minute,
    );
    assert.equal(landed.size, 7);
    assert.ok([...landed.values()].every((at) => at <= 8_000));
  });

  it('tries a bad identity again, alone, after 1, 2, 4 ... 60 minutes', () => {
    const { writes } = simulate(attach('x', 'bad'), new Set(['attach bad']), 0, 300 * minute);
    const gaps = writes.map(({ at }, index) => (at - (writes[index - 1]?.at ?? 0)) / minute);
    assert.deepEqual(gaps.slice(1).map(Math.round), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  });

  it('holds one direction only and ends with a success', () => {
    const [entry] = attach('x', 'i');
    assert.ok(entry);
    const held = afterWrite(emptyQuarantine, { entries: [entry], trial: false }, failed(), 0);
    assert.deepEqual(idsOf(selectWrite(held, detach('i'), 0).entries), ['i']);
    assert.deepEqual(selectWrite(held, [entry], 0).entries, []);
    const retry = selectWrite(held, [entry], minute);
    assert.deepEqual([idsOf(retry.entries), retry.trial], [['i'], true]);
    assert.deepEqual([...afterWrite(held, retry, { ok: true }, minute).held], []);
  });

  it('tries a lifted identity at once, within the budget', () => {
    const held = afterWrite(emptyQuarantine, { entries: attach('x', 'i'), trial: false }, failed(), 0);
    assert.deepEqual(idsOf(selectWrite(lift(held, 'i', 1_000), attach('x', 'i'), 1_000).entries), ['i']);
  });
});

describe('a namespace beside many entries of others', () => {
  const many = (namespace: string, count: number) =>
    attach(namespace, ...Array.from({ length: count }, (_, index) => `${namespace}${index}`));

  it('has its place in a write that holds 150 of 6000 entries of another', () => {
    const { entries, nextAt } = selectWrite(emptyQuarantine, [...many('many', 6_000), ...attach('few', 'f')], 1_000);
    assert.equal(entries.length, 150);
    assert.ok(idsOf(entries).includes('f'));
    assert.equal(nextAt, 1_000);
  });

  it('tries at most 150 entries of a suspected namespace in one write', () => {
    const blamed = afterWrite(emptyQuarantine, { entries: attach('many', 'many0'), trial: false }, failed(['many0']), 0);
    assert.equal(selectWrite(blamed, many('many', 6_000), 1_000).entries.length, 150);
  });

  it('is free of suspicion in a minute where 64 failed together', () => {
    const names = Array.from({ length: 64 }, (_, index) => `n${index}`);
    for (const bad of names) {
      const wanted = names.flatMap((name) => attach(name, name));
      const { landed } = simulate(wanted, new Set([`attach ${bad}`]), 0, minute);
      assert.equal(landed.size, 63, `${bad} is bad`);
    }
  });

  it('does not use up its budget where other namespaces fail with it again and again', () => {
    let quarantine = emptyQuarantine;
    for (let at = 0; at < 20_000; at += 2_000) {
      const bad = attach(`bad${at}`, `b${at}`);
      const wanted = [...bad, ...attach('good', `g${at}`)];
      quarantine = afterWrite(quarantine, selectWrite(quarantine, wanted, at), failed(), at);
      quarantine = afterWrite(quarantine, { entries: bad, trial: true }, failed(), at);
      const { entries } = selectWrite(quarantine, attach('good', `g${at}`), at + 1_000);
      assert.deepEqual(idsOf(entries), [`g${at}`]);
      quarantine = afterWrite(quarantine, { entries, trial: true }, { ok: true }, at + 1_000);
    }
  });

  it('is tried although another that failed less brings good ones without end', () => {
    let quarantine = emptyQuarantine;
    for (const [namespace, failures] of [
      ['endless', 1],
      ['honest', 3],
    ] as const)
      for (let index = 0; index < failures; index += 1)
        quarantine = afterWrite(quarantine, { entries: attach(namespace, `${namespace}${index}`), trial: false }, failed(), 0);
    const written: string[] = [];
    for (let at = 1_000; at < 10_000; at += 1_000) {
      const selected = selectWrite(quarantine, [...attach('endless', `e${at}`), ...attach('honest', 'good')], at);
      quarantine = afterWrite(quarantine, selected, { ok: true }, at);
      written.push(...idsOf(selected.entries));
    }
    assert.ok(written.includes('good'), written.join());
  });

  it('is tried first where it wants an id among the suspects of another', () => {
    let quarantine = afterWrite(emptyQuarantine, { entries: many('bad', 64), trial: false }, failed(), 0);
    for (let at = 1_000; at <= 4_000; at += 1_000) {
      const selected = selectWrite(quarantine, many('bad', 64), at);
      quarantine = afterWrite(quarantine, selected, failed(), at);
    }
    for (const id of ['bad0', 'bad63']) {
      const wanted = [...many('bad', 64).filter((entry) => entry.id !== id), ...attach('good', id)];
      assert.deepEqual(idsOf(selectWrite(quarantine, wanted, 5_000).entries), [id]);
    }
  });
});

describe('suspicion of a namespace', () => {
  it('holds up none of its good identities, however many come', () => {
    let quarantine = afterWrite(emptyQuarantine, { entries: attach('clumsy', 'b'), trial: false }, failed(['b']), 0);
    for (let index = 0; index < 20; index += 1) {
      const { entries, trial } = selectWrite(quarantine, attach('clumsy', 'b', `good${index}`), index);
      assert.deepEqual(idsOf(entries), [`good${index}`]);
      quarantine = afterWrite(quarantine, { entries, trial }, { ok: true }, index);
    }
  });

  it('keeps new identities of a suspect namespace apart for ten minutes', () => {
    const blamed = afterWrite(emptyQuarantine, { entries: attach('bad', 'b'), trial: false }, failed(['b']), 0);
    const wanted = [...attach('bad', 'b', 'fresh'), ...attach('good', 'g')];
    assert.deepEqual(idsOf(selectWrite(blamed, wanted, 1_000).entries), ['g']);
    assert.deepEqual(idsOf(selectWrite(blamed, attach('bad', 'b', 'fresh'), 1_000).entries), ['fresh']);
    assert.deepEqual(idsOf(selectWrite(blamed, [...attach('bad', 'fresh'), ...attach('good', 'g')], windowMs).entries), ['fresh', 'g']);
  });

  it('suspects a namespace beyond the deletion of the identity to blame', () => {
    const blamed = afterWrite(emptyQuarantine, { entries: attach('bad', 'b'), trial: false }, failed(['b']), 0);
    const forgotten = forgetUnwanted(blamed, [], 1_000);
    assert.deepEqual([...forgotten.held], []);
    assert.deepEqual(idsOf(selectWrite(forgotten, [...attach('bad', 'b2'), ...attach('good', 'g')], 2_000).entries), ['g']);
  });

  it('clears a namespace in a failed write once its part succeeds', () => {
    const mixed = [...attach('bad', 'b'), ...attach('good', 'g')];
    const suspected = afterWrite(emptyQuarantine, { entries: mixed, trial: false }, failed(), 0);
    const cleared = afterWrite(suspected, { entries: attach('good', 'g'), trial: true }, { ok: true }, 1_000);
    assert.deepEqual(idsOf(selectWrite(cleared, [...attach('good', 'g2'), ...attach('other', 'o')], 2_000).entries), ['g2', 'o']);
  });

  it('forgets quarantined identities that are no longer wanted', () => {
    const suspected = afterWrite(emptyQuarantine, { entries: attach('x', 'a', 'b', 'c'), trial: false }, failed(), 0);
    assert.deepEqual(forgetUnwanted(suspected, attach('x', 'c'), 1).suspects, [['attach c']]);
  });
});
