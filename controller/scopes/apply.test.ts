// How a change that takes several writes is carried out, and what is known of each identity afterwards.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/arm/errors.ts';
import type { Write } from '../azure/arm/identity-map.ts';
import { writeAll } from './apply.ts';
import { fakeAzure, idOf, testScope } from './testing/scope.ts';

const attach = (name: string): Write => ({ attach: [idOf(name)], detach: [] });

async function carriedOut(azure: ReturnType<typeof fakeAzure>, writes: Write[], mayWrite: () => boolean = () => true) {
  const { signal } = new AbortController();
  const look = () => azure.compute.read(testScope, signal);
  const steps = { scope: testScope, compute: azure.compute, look, mayWrite, onOperation: async () => undefined };
  return writeAll(steps, writes, await look(), signal);
}

describe('a write that failed', () => {
  const told = (status: number) => new ArmError({ code: 'unknown' }, 'no', { status });
  const cases: [what: string, error: Error, began: boolean, outcome: string][] = [
    ['for which there was no token', new ArmError({ code: 'signInFailed', retryAfterSeconds: undefined }, 'no'), false, 'refused'],
    [
      'that was kept back, since Azure throttles',
      new ArmError({ code: 'throttled', of: 'scope', source: 'gate', retryAfterSeconds: 1 }, 'no'),
      false,
      'refused',
    ],
    ['that Azure answered with 403', told(403), false, 'refused'],
    ['that Azure answered with 408', told(408), false, 'unclear'],
    ['that Azure answered with 500', told(500), false, 'unclear'],
    ['without an answer', new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'no'), false, 'unclear'],
    ['for a reason of ours', new Error('no'), false, 'unclear'],
    ['after Azure had begun', new ArmError({ code: 'canceled' }, 'no'), true, 'failed'],
    ['of which nobody knows how it ended', new ArmError({ code: 'operationLost' }, 'no'), true, 'unclear'],
  ];
  for (const [what, error, began, outcome] of cases)
    it(`${what} is ${outcome}`, async () => {
      const azure = fakeAzure();
      azure.refuses = !began;
      azure.onWrite.push(() => {
        throw error;
      });
      const { outcomeOf, failure } = await carriedOut(azure, [attach('i')]);
      assert.equal(outcomeOf(idOf('i')), outcome);
      assert.equal(failure?.error, error);
    });

  it('ends a change: what came before is done, what would have come after was refused', async () => {
    const azure = fakeAzure();
    azure.onWrite.push(
      () => undefined,
      () => {
        throw told(500);
      },
    );
    const { outcomeOf } = await carriedOut(azure, [attach('a'), attach('b'), attach('c')]);
    assert.deepEqual(['a', 'b', 'c'].map(idOf).map(outcomeOf), ['done', 'failed', 'refused']);
    assert.equal(azure.writes.length, 2);
  });

  it('is none where leadership is about to end: the rest is left to the next leader', async () => {
    const azure = fakeAzure();
    let asked = 0;
    const { outcomeOf, failure, handedOver } = await carriedOut(azure, [attach('a'), attach('b')], () => ++asked === 1);
    assert.deepEqual(['a', 'b'].map(idOf).map(outcomeOf), ['done', 'refused']);
    assert.deepEqual([failure, handedOver], [undefined, true]);
  });
});
