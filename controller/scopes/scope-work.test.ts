// When a scope costs a call to Azure, and when it does not.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { emptyRecord, withEntries } from './ownership.ts';
import type { WorkSituation } from './scope-work.ts';
import { hasWork } from './scope-work.ts';
import { idOf, need, testScope } from './testing/scope.ts';

const there = { clientId: 'c', principalId: 'p' };
const recorded = (state: 'intent' | 'owned' | 'detaching') => withEntries(emptyRecord(testScope.id), [[idOf('red'), state]], new Date(0));
const free: WorkSituation['holds'] = { areWritesResting: () => false, isDue: () => false, isHeld: () => false };
const held = (what: 'attach' | 'detach') => ({ ...free, isHeld: (direction: string) => direction === what });

/** One pod that needs `red`, which is attached, ours and assigned; just looked at. */
const atRest: WorkSituation = {
  record: recorded('owned'),
  needs: [need('web', 'red')],
  due: new Set(),
  attached: new Map([[idOf('red'), there]]),
  fresh: true,
  isWaiting: () => false,
  holds: free,
  now: 0,
};
const red = new Set([idOf('red')]);
const nothing = new Map();

describe('a scope', () => {
  const cases: [what: string, change: Partial<WorkSituation>, expected: boolean][] = [
    ['at rest', {}, false],
    ['whose look is due', { attached: undefined }, true],
    ['whose look is due, with a record only', { attached: undefined, needs: [] }, true],
    ['whose look is due, with neither needs nor record', { attached: undefined, needs: [], record: emptyRecord('s') }, false],
    ['that lacks what a pod needs', { attached: nothing }, true],
    ['that lacks it while it is held back', { attached: nothing, holds: held('attach') }, false],
    ['that lacks it while writes rest', { attached: nothing, holds: { ...free, areWritesResting: () => true } }, false],
    ['whose own identity was recreated', { attached: new Map([[idOf('red'), null]]) }, true],
    ['where a foreign one was recreated', { attached: new Map([[idOf('red'), null]]), record: emptyRecord('s') }, false],
    ['with an object that waits for what a fresh look showed', { isWaiting: () => true }, false],
    ['with an object that waits for what an old look showed', { isWaiting: () => true, fresh: false }, true],
    ['with something to detach', { needs: [], due: red }, true],
    ['with something to detach that is held back', { needs: [], due: red, holds: held('detach') }, false],
    ['with something held back that is due', { holds: { ...free, isDue: () => true } }, true],
    ['that a former leader was about to attach to', { needs: [], record: recorded('intent') }, true],
    ['that a former leader was about to detach from', { needs: [], record: recorded('detaching') }, true],
  ];
  for (const [what, change, expected] of cases)
    it(`${what} ${expected ? 'is looked at' : 'costs nothing'}`, () => assert.equal(hasWork({ ...atRest, ...change }), expected));
});
