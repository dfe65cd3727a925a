import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/arm/errors.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import { applyWrites } from './apply.ts';
import { fakeAzure, idOf, testScope } from './testing/scope.ts';

const attach = (name: string): Write => ({ attach: [idOf(name)], detach: [] });

async function applied(azure: ReturnType<typeof fakeAzure>, writes: Write[], mayWrite: () => boolean = () => true) {
  const { signal } = new AbortController();
  const read = () => azure.compute.read(testScope, signal);
  return applyWrites(writes, await read(), {
    scope: testScope,
    compute: azure.compute,
    read,
    mayWrite,
    onOperation: async () => undefined,
    onThrottled: async () => undefined,
    signal,
  });
}

describe('apply', () => {
  const answered = (status: number) => new ArmError({ code: 'unknown' }, 'no', { status });
  const cases: [what: string, error: Error, began: boolean, outcome: string][] = [
    ['without a token to send', new ArmError({ code: 'signInFailed', retryAfterSeconds: undefined }, 'no'), false, 'refused'],
    [
      'behind a closed throttle gate',
      new ArmError({ code: 'throttled', of: 'scope', source: 'gate', retryAfterSeconds: 1 }, 'no'),
      false,
      'refused',
    ],
    ['that Azure answered with 403', answered(403), false, 'refused'],
    ['that Azure answered with 408', answered(408), false, 'unclear'],
    ['that Azure answered with 500', answered(500), false, 'unclear'],
    ['without an answer', new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'no'), false, 'unclear'],
    ['that failed for a reason of ours', new Error('no'), false, 'unclear'],
    ['after Azure had begun', new ArmError({ code: 'canceled' }, 'no'), true, 'failed'],
    ['whose operation is lost', new ArmError({ code: 'operationLost' }, 'no'), true, 'unclear'],
  ];
  for (const [what, error, began, outcome] of cases)
    it(`reports ${outcome} for a write ${what}`, async () => {
      const azure = fakeAzure();
      azure.refuses = !began;
      azure.onWrite.push(() => {
        throw error;
      });
      const { outcomeOf, failure } = await applied(azure, [attach('i')]);
      assert.equal(outcomeOf(idOf('i')), outcome);
      assert.equal(failure?.error, error);
    });

  it('stops at the first failed write and reports earlier and later ones', async () => {
    const azure = fakeAzure();
    azure.onWrite.push(
      () => undefined,
      () => {
        throw answered(500);
      },
    );
    const { outcomeOf } = await applied(azure, [attach('a'), attach('b'), attach('c')]);
    assert.deepEqual(['a', 'b', 'c'].map(idOf).map(outcomeOf), ['done', 'failed', 'refused']);
    assert.equal(azure.writes.length, 2);
  });

  it('stops without a failure when leadership is about to end', async () => {
    const azure = fakeAzure();
    let asked = 0;
    const { outcomeOf, failure, interrupted } = await applied(azure, [attach('a'), attach('b')], () => ++asked === 1);
    assert.deepEqual(['a', 'b'].map(idOf).map(outcomeOf), ['done', 'refused']);
    assert.deepEqual([failure, interrupted], [undefined, true]);
  });
});
