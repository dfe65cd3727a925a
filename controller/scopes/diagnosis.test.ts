import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/arm/errors.ts';
import { retryDelayMs } from './backoff.ts';
import { diagnose } from './diagnosis.ts';

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
