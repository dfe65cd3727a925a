import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/arm/errors.ts';
import { retryDelayMs } from './backoff.ts';
import { diagnose, mayBlameIdentities } from './diagnosis.ts';

describe('retry delay', () => {
  it('spreads the retries of scopes that Azure throttles together', () => {
    const error = new ArmError({ code: 'throttled', of: 'subscription', source: 'header', retryAfterSeconds: 30 }, 'slow down');
    const delayMs = (random: number) =>
      retryDelayMs(
        error,
        diagnose(error, [], () => random),
        1,
        () => random,
      );
    assert.equal(delayMs(0), 30_000);
    assert.ok(delayMs(0.5) > 30_000);
    assert.ok(delayMs(1) > delayMs(0.5));
  });

  it('doubles with each failure of an unknown kind, up to a minute', () => {
    const error = new ArmError({ code: 'unknown' }, 'oops', { status: 500 });
    const diagnosis = diagnose(error, [], () => 1);
    const delays = [1, 2, 3, 20].map((failures) => retryDelayMs(error, diagnosis, failures, () => 1));
    assert.deepEqual(delays, [1_000, 2_000, 4_000, 60_000]);
  });
});

describe('diagnosis of a write of several identities', () => {
  it('leaves out a text of Azure that names none of them by its id', () => {
    const text = "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/x' under resource group 'secret' was not found.";
    for (const failure of [{ code: 'unknown' }, { code: 'badIdentities', ids: [], reason: 'notFound' }] as const) {
      const error = new ArmError(failure, text, { status: 400 });
      assert.ok(!diagnose(error, ['a', 'b'], () => 0).message.includes('secret'));
      assert.ok(diagnose(error, ['a'], () => 0).message.includes('secret'));
    }
  });

  it('blames an identity for any 4xx without a meaning of its own', () => {
    assert.ok([400, 405, 413, 422].every((status) => mayBlameIdentities(new ArmError({ code: 'unknown' }, 'oops', { status }))));
    assert.ok(!mayBlameIdentities(new ArmError({ code: 'unknown' }, 'oops', { status: 501 })));
  });
});
