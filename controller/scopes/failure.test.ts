// What a failed call means, where a whole pass would not show it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from '../azure/arm/errors.ts';
import { judgeFailure, retryDelay } from './failure.ts';

describe('a throttled scope', () => {
  it('comes back when Azure said, spread, or all scopes of a subscription would come in the same millisecond', () => {
    const error = new ArmError({ code: 'throttled', of: 'subscription', source: 'header', retryAfterSeconds: 30 }, 'slow down');
    const delay = (random: number) =>
      retryDelay(
        error,
        judgeFailure(error, [], () => random),
        1,
        () => random,
      );
    assert.equal(delay(0), 30_000);
    assert.ok(delay(0.5) > 30_000);
    assert.ok(delay(1) > delay(0.5));
  });
});
