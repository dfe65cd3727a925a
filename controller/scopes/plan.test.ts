import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { AttachedIdentity } from '../azure/arm/identity-map.ts';
import type { EntryState } from './ownership.ts';
import { emptyRecord, withChanges } from './ownership.ts';
import type { PlanInput, WriteOutcome } from './plan.ts';
import { ownershipAfter, planScope } from './plan.ts';

const ids = (id: string): AttachedIdentity => ({ clientId: `client-${id}`, principalId: `principal-${id}` });
const date = new Date(0);

function input(parts: {
  record?: Record<string, EntryState>;
  attached?: string[];
  recreated?: string[];
  needed?: string[];
  attachable?: string[];
  expired?: string[];
  gone?: string[];
  kept?: string[];
  operationInProgress?: boolean;
}): PlanInput {
  const attached = new Map<string, AttachedIdentity>((parts.attached ?? []).map((id) => [id, ids(id)]));
  for (const id of parts.recreated ?? []) attached.set(id, null);
  return {
    record: withChanges(emptyRecord('/scope'), Object.entries(parts.record ?? {}), date),
    attached,
    operationInProgress: parts.operationInProgress ?? false,
    needed: new Set(parts.needed),
    attachable: new Set(parts.attachable ?? parts.needed),
    expired: new Set(parts.expired),
    gone: new Set(parts.gone),
    isProtected: (id) => parts.kept?.includes(id) ?? false,
  };
}

describe('plan of a scope', () => {
  it('keeps an identity that may not be attached, and never attaches it', () => {
    const kept = { needed: ['a'], attachable: [] };
    assert.deepEqual(planScope(input({ ...kept, record: { a: 'owned' }, attached: ['a'], expired: ['a'] })).detach, []);
    assert.deepEqual(planScope(input(kept)), { attach: [], detach: [], ownership: [] });
  });

  it('records the intent to attach what is missing', () => {
    assert.deepEqual(planScope(input({ needed: ['a'] })), { attach: ['a'], detach: [], ownership: [['a', 'intent']] });
  });

  it('uses what others attached without claiming it', () => {
    assert.deepEqual(planScope(input({ needed: ['a'], attached: ['a'] })), { attach: [], detach: [], ownership: [] });
  });

  it('never detaches what has no ownership entry', () => {
    assert.deepEqual(planScope(input({ attached: ['a'], expired: ['a'] })).detach, []);
  });

  it('detaches its own that Azure no longer knows at once, needed or not', () => {
    for (const needed of [['a'], []])
      assert.deepEqual(planScope(input({ needed, record: { a: 'owned' }, attached: ['a'], gone: ['a'] })), {
        attach: [],
        detach: ['a'],
        ownership: [['a', 'detaching']],
      });
    assert.deepEqual(planScope(input({ needed: ['a'], attached: ['a'], gone: ['a'] })).detach, [], 'what others attached stays');
    assert.deepEqual(planScope(input({ needed: ['a'], record: { a: 'owned' }, attached: ['a'], gone: ['a'], kept: ['a'] })).detach, []);
  });

  it('detaches its own only after the detach delay', () => {
    assert.deepEqual(planScope(input({ record: { a: 'owned' }, attached: ['a'] })), { attach: [], detach: [], ownership: [] });
    assert.deepEqual(planScope(input({ record: { a: 'owned' }, attached: ['a'], expired: ['a'] })), {
      attach: [],
      detach: ['a'],
      ownership: [['a', 'detaching']],
    });
  });

  it('finds out after a crash how an intended attachment ended', () => {
    assert.deepEqual(planScope(input({ record: { a: 'intent' }, needed: ['a'], attached: ['a'] })).ownership, [['a', 'owned']]);
    assert.deepEqual(planScope(input({ record: { a: 'intent' }, attached: ['a'] })).ownership, [['a', 'owned']]);
    assert.deepEqual(planScope(input({ record: { a: 'intent' } })).ownership, [['a', undefined]]);
    assert.deepEqual(planScope(input({ record: { a: 'intent' }, needed: ['a'] })), { attach: ['a'], detach: [], ownership: [] });
  });

  it('keeps the claim on what is absent during an operation that Azure may undo', () => {
    for (const state of ['intent', 'owned', 'detaching'] as const) {
      assert.deepEqual(
        planScope(input({ record: { a: state }, operationInProgress: true })),
        { attach: [], detach: [], ownership: [] },
        state,
      );
      assert.deepEqual(planScope(input({ record: { a: state } })).ownership, [['a', undefined]], state);
    }
  });

  it('keeps what is needed again while it was being detached', () => {
    assert.deepEqual(planScope(input({ record: { a: 'detaching' }, needed: ['a'], attached: ['a'] })).ownership, [['a', 'owned']]);
    assert.deepEqual(planScope(input({ record: { a: 'detaching' }, needed: ['a'] })), {
      attach: ['a'],
      detach: [],
      ownership: [['a', 'owned']],
    });
  });

  it('attaches again what others detached', () => {
    assert.deepEqual(planScope(input({ record: { a: 'owned' }, needed: ['a'] })).attach, ['a']);
  });

  it('attaches a recreated identity of its own anew, not a foreign one', () => {
    assert.deepEqual(planScope(input({ record: { a: 'owned' }, needed: ['a'], recreated: ['a'] })).attach, ['a']);
    assert.deepEqual(planScope(input({ needed: ['a'], recreated: ['a'] })).attach, []);
  });

  it('gives up the claim on a protected identity and leaves it attached', () => {
    const plan = planScope(input({ record: { a: 'owned' }, attached: ['a'], expired: ['a'], kept: ['a'] }));
    assert.deepEqual(plan, { attach: [], detach: [], ownership: [['a', undefined]] });
  });

  it('detaches only owned, unneeded, unprotected ids and converges in one write', () => {
    const id = fc.constantFrom<string>('a', 'b', 'c', 'd');
    const some = fc.uniqueArray(id);
    const record = fc.dictionary(id, fc.constantFrom<EntryState>('intent', 'owned', 'detaching'));
    fc.assert(
      fc.property(fc.record({ record, attached: some, needed: some, expired: some, kept: some }), (parts) => {
        const before = input(parts);
        const plan = planScope(before);
        for (const removed of plan.detach) {
          assert.ok(before.record.identities.has(removed) && !before.needed.has(removed) && !parts.kept.includes(removed));
        }
        const attached = new Map(before.attached);
        for (const added of plan.attach) attached.set(added, ids(added));
        for (const removed of plan.detach) attached.delete(removed);
        const write = { attach: plan.attach, detach: plan.detach };
        let after = withChanges(before.record, plan.ownership, date);
        after = withChanges(
          after,
          ownershipAfter(after, { write, before: before.attached, after: attached, operationInProgress: false, outcomeOf: () => 'done' }),
          date,
        );
        const again = planScope({ ...before, record: after, attached });
        assert.deepEqual(again, { attach: [], detach: [], ownership: [] });
      }),
    );
  });

  describe('ownership after a write', () => {
    const settled = (outcome: WriteOutcome, there: string[], state: EntryState = 'intent', operationInProgress = false) => {
      const { record } = input({ record: { a: state } });
      const write = state === 'detaching' ? { attach: [], detach: ['a'] } : { attach: ['a'], detach: [] };
      const before = new Map(state === 'detaching' ? [['a', ids('a')]] : []);
      const after = new Map(there.map((id) => [id, ids(id)]));
      return withChanges(
        record,
        ownershipAfter(record, { write, before, after, operationInProgress, outcomeOf: () => outcome }),
        date,
      ).identities.get('a')?.state;
    };

    it('claims what was attached, or may have been', () => {
      for (const outcome of ['done', 'failed', 'unclear'] as const) assert.equal(settled(outcome, ['a']), 'owned', outcome);
    });

    it('does not claim what others attached while its write was refused', () => {
      assert.equal(settled('refused', ['a']), undefined);
      assert.equal(settled('refused', ['a'], 'owned'), undefined);
    });

    it('keeps the intent only where the write may still take effect', () => {
      for (const outcome of ['done', 'failed', 'refused'] as const) assert.equal(settled(outcome, []), undefined, outcome);
      assert.equal(settled('unclear', []), 'intent');
    });

    it('forgets what was detached only once nothing can bring it back', () => {
      assert.equal(settled('unclear', [], 'detaching', true), 'detaching');
      assert.equal(settled('unclear', [], 'detaching', false), undefined);
      assert.equal(settled('done', [], 'detaching', true), undefined);
    });

    it('does not claim what others attached right after it was detached', () => {
      assert.equal(settled('done', ['a'], 'detaching'), undefined);
      for (const outcome of ['failed', 'refused', 'unclear'] as const)
        assert.equal(settled(outcome, ['a'], 'detaching'), 'detaching', outcome);
    });
  });
});
