import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AttachedIdentity } from '../azure/arm/identity-map.ts';
import type { EntryState } from './ownership.ts';
import { emptyRecord, withEntries } from './ownership.ts';
import type { ScopeSituation, WriteOutcome } from './plan.ts';
import { decideScope, settle } from './plan.ts';

const ids = (id: string): AttachedIdentity => ({ clientId: `client-${id}`, principalId: `principal-${id}` });
const date = new Date(0);

function situation(parts: {
  record?: Record<string, EntryState>;
  attached?: string[];
  recreated?: string[];
  wanted?: string[];
  due?: string[];
  kept?: string[];
  moving?: boolean;
}): ScopeSituation {
  const attached = new Map<string, AttachedIdentity>((parts.attached ?? []).map((id) => [id, ids(id)]));
  for (const id of parts.recreated ?? []) attached.set(id, null);
  return {
    record: withEntries(emptyRecord('/scope'), Object.entries(parts.record ?? {}), date),
    attached,
    moving: parts.moving ?? false,
    wanted: new Set(parts.wanted),
    due: new Set(parts.due),
    isProtected: (id) => parts.kept?.includes(id) ?? false,
  };
}

describe('what a scope needs', () => {
  it('records the intent to attach what is missing', () => {
    assert.deepEqual(decideScope(situation({ wanted: ['a'] })), { adds: ['a'], removes: [], entries: [['a', 'intent']] });
  });

  it('uses what somebody else attached and never claims it', () => {
    assert.deepEqual(decideScope(situation({ wanted: ['a'], attached: ['a'] })), { adds: [], removes: [], entries: [] });
  });

  it('never removes what it has no record of, wanted or not', () => {
    assert.deepEqual(decideScope(situation({ attached: ['a'], due: ['a'] })).removes, []);
  });

  it('removes its own only once its linger is over', () => {
    assert.deepEqual(decideScope(situation({ record: { a: 'owned' }, attached: ['a'] })), { adds: [], removes: [], entries: [] });
    assert.deepEqual(decideScope(situation({ record: { a: 'owned' }, attached: ['a'], due: ['a'] })), {
      adds: [],
      removes: ['a'],
      entries: [['a', 'detaching']],
    });
  });

  it('finds out after a crash how an intended attach ended', () => {
    assert.deepEqual(decideScope(situation({ record: { a: 'intent' }, wanted: ['a'], attached: ['a'] })).entries, [['a', 'owned']]);
    assert.deepEqual(decideScope(situation({ record: { a: 'intent' }, attached: ['a'] })).entries, [['a', 'owned']]);
    assert.deepEqual(decideScope(situation({ record: { a: 'intent' } })).entries, [['a', undefined]]);
    assert.deepEqual(decideScope(situation({ record: { a: 'intent' }, wanted: ['a'] })), { adds: ['a'], removes: [], entries: [] });
  });

  it('keeps the claim to what is absent only because of an operation that Azure may yet undo, or finish', () => {
    for (const state of ['intent', 'owned', 'detaching'] as const) {
      assert.deepEqual(decideScope(situation({ record: { a: state }, moving: true })), { adds: [], removes: [], entries: [] }, state);
      assert.deepEqual(decideScope(situation({ record: { a: state } })).entries, [['a', undefined]], state);
    }
  });

  it('keeps what is wanted again while it was being detached', () => {
    assert.deepEqual(decideScope(situation({ record: { a: 'detaching' }, wanted: ['a'], attached: ['a'] })).entries, [['a', 'owned']]);
    assert.deepEqual(decideScope(situation({ record: { a: 'detaching' }, wanted: ['a'] })), {
      adds: ['a'],
      removes: [],
      entries: [['a', 'owned']],
    });
  });

  it('attaches again what others took away', () => {
    assert.deepEqual(decideScope(situation({ record: { a: 'owned' }, wanted: ['a'] })).adds, ['a']);
  });

  it('repairs a recreated identity of its own, not a foreign one', () => {
    assert.deepEqual(decideScope(situation({ record: { a: 'owned' }, wanted: ['a'], recreated: ['a'] })).adds, ['a']);
    assert.deepEqual(decideScope(situation({ wanted: ['a'], recreated: ['a'] })).adds, []);
  });

  it('leaves a protected identity for ever', () => {
    const decision = decideScope(situation({ record: { a: 'owned' }, attached: ['a'], due: ['a'], kept: ['a'] }));
    assert.deepEqual(decision, { adds: [], removes: [], entries: [['a', undefined]] });
  });

  it('for every situation: removes only recorded, unwanted, unprotected ids, and after a perfect write nothing is left to do', () => {
    const id = fc.constantFrom<string>('a', 'b', 'c', 'd');
    const some = fc.uniqueArray(id);
    const record = fc.dictionary(id, fc.constantFrom<EntryState>('intent', 'owned', 'detaching'));
    fc.assert(
      fc.property(fc.record({ record, attached: some, wanted: some, due: some, kept: some }), (parts) => {
        const before = situation(parts);
        const decision = decideScope(before);
        for (const removed of decision.removes) {
          assert.ok(before.record.identities.has(removed) && !before.wanted.has(removed) && !parts.kept.includes(removed));
        }
        const attached = new Map(before.attached);
        for (const added of decision.adds) attached.set(added, ids(added));
        for (const removed of decision.removes) attached.delete(removed);
        const write = { attach: decision.adds, detach: decision.removes };
        let after = withEntries(before.record, decision.entries, date);
        after = withEntries(
          after,
          settle(after, { write, before: before.attached, after: attached, moving: false, outcomeOf: () => 'done' }),
          date,
        );
        const again = decideScope({ ...before, record: after, attached });
        assert.deepEqual(again, { adds: [], removes: [], entries: [] });
      }),
    );
  });

  describe('after a write', () => {
    const settled = (outcome: WriteOutcome, there: string[], state: EntryState = 'intent', moving = false) => {
      const { record } = situation({ record: { a: state } });
      const write = state === 'detaching' ? { attach: [], detach: ['a'] } : { attach: ['a'], detach: [] };
      const before = new Map(state === 'detaching' ? [['a', ids('a')]] : []);
      const after = new Map(there.map((id) => [id, ids(id)]));
      return withEntries(record, settle(record, { write, before, after, moving, outcomeOf: () => outcome }), date).identities.get('a')
        ?.state;
    };

    it('claims what Azure says that we attached, and what we may have attached', () => {
      for (const outcome of ['done', 'failed', 'unclear'] as const) assert.equal(settled(outcome, ['a']), 'owned', outcome);
    });

    it('does not claim what somebody else attached while our write was refused', () => {
      assert.equal(settled('refused', ['a']), undefined);
      assert.equal(settled('refused', ['a'], 'owned'), undefined);
    });

    it('keeps an intent only where the write may still take effect', () => {
      for (const outcome of ['done', 'failed', 'refused'] as const) assert.equal(settled(outcome, []), undefined, outcome);
      assert.equal(settled('unclear', []), 'intent');
    });

    it('forgets what it took away only once nothing can bring it back', () => {
      assert.equal(settled('unclear', [], 'detaching', true), 'detaching');
      assert.equal(settled('unclear', [], 'detaching', false), undefined);
      assert.equal(settled('done', [], 'detaching', true), undefined);
    });

    it('does not take away again what somebody attached right after we took it away', () => {
      assert.equal(settled('done', ['a'], 'detaching'), undefined);
      for (const outcome of ['failed', 'refused', 'unclear'] as const)
        assert.equal(settled(outcome, ['a'], 'detaching'), 'detaching', outcome);
    });
  });
});
