import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { blockWrites } from './backoff.ts';
import { nothingObserved, observe } from './observed-state.ts';
import { emptyRecord, withChanges } from './ownership.ts';
import type { PendingWorkInput } from './pending-work.ts';
import { pendingWork } from './pending-work.ts';
import type { Direction } from './quarantine.ts';
import { emptyQuarantine, keyOf } from './quarantine.ts';
import { initialState } from './state.ts';
import { idOf, need, testScope } from './testing/scope.ts';

const present = { clientId: 'c', principalId: 'p' };
const recorded = (state: 'intent' | 'owned' | 'detaching') => withChanges(emptyRecord(testScope.id), [[idOf('red'), state]], new Date(0));
const red = new Set([idOf('red')]);
const now = 1_000_000;

type Shown = Map<string, typeof present | null>;
/** A state whose last GET showed this, so many milliseconds ago. */
const shown = (attached: Shown, agoMs = 0): PendingWorkInput['state'] => ({
  ...initialState,
  observed: observe(nothingObserved, {
    attached,
    imdsRestricted: false,
    requestedBefore: 0,
    now: now - agoMs,
    intervalMs: 200_000,
    spread: 0,
  }),
});
const here: Shown = new Map([[idOf('red'), present]]);
const recreated: Shown = new Map([[idOf('red'), null]]);
const absent: Shown = new Map();
const held = (direction: Direction, until = now + 1) => ({
  ...emptyQuarantine,
  held: new Map([[keyOf({ direction, id: idOf('red') }), { failures: 1, until }]]),
});
const blocked = { backoff: blockWrites(initialState.backoff, now + 1) };

/** One pod that needs `red`, which is attached, ours and assigned; just read. */
const settled: PendingWorkInput = {
  state: shown(here),
  record: recorded('owned'),
  needs: [need('web', 'red')],
  expired: new Set(),
  isWaiting: () => false,
  isProtected: () => false,
  intervalMs: 200_000,
  now,
};

describe('pending work of a scope', () => {
  const cases: [title: string, change: Partial<PendingWorkInput>, expected: boolean][] = [
    ['that is settled', {}, false],
    ['whose GET is due', { state: initialState }, true],
    ['whose GET is due, with a record only', { state: initialState, needs: [] }, true],
    ['whose GET is due, without needs or record', { state: initialState, needs: [], record: emptyRecord('s') }, false],
    ['that lacks what a pod needs', { state: shown(absent) }, true],
    ['that lacks a quarantined identity', { state: { ...shown(absent), quarantine: held('attach') } }, false],
    ['that lacks an identity while writes are blocked', { state: { ...shown(absent), ...blocked } }, false],
    ['whose own identity was recreated', { state: shown(recreated) }, true],
    ['where a foreign identity was recreated', { state: shown(recreated), record: emptyRecord('s') }, false],
    ['with an object that waits for what a fresh GET showed', { isWaiting: () => true }, false],
    ['with an object that waits for what an old GET showed', { isWaiting: () => true, state: shown(here, 40_000) }, true],
    ['with something to detach', { needs: [], expired: red }, true],
    ['with a quarantined removal', { needs: [], expired: red, state: { ...shown(here), quarantine: held('detach') } }, false],
    ['whose quarantine is over', { state: { ...shown(absent), quarantine: held('attach', now) } }, true],
    ['that a former leader was about to attach to', { needs: [], record: recorded('intent') }, true],
    ['whose identity is needed again during its detachment', { record: recorded('detaching') }, true],
  ];
  for (const [title, change, expected] of cases)
    it(`finds ${expected ? '' : 'no '}work for a scope ${title}`, () =>
      assert.equal(pendingWork({ ...settled, ...change }).pending, expected));
});
