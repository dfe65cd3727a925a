import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ArmFailure } from '../azure/arm/errors.ts';
import { ArmError } from '../azure/arm/errors.ts';
import type { Refusal, RefusalCode } from '../azure/arm/refusals.ts';
import { isAboutIdentities, refusals } from '../azure/arm/refusals.ts';
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

describe('diagnosis of a write of several identities', () => {
  it('leaves out a text of Azure that names none of them by its id', () => {
    const text = "The Resource 'Microsoft.ManagedIdentity/userAssignedIdentities/x' under resource group 'secret' was not found.";
    for (const failure of [
      { code: 'refused', ids: [] },
      { code: 'identityNotFound', ids: [] },
    ] as const) {
      const error = new ArmError(failure, text, { status: 400 });
      assert.ok(!diagnose(error, ['a', 'b'], () => 0).message.includes('secret'));
      assert.ok(diagnose(error, ['a'], () => 0).message.includes('secret'));
    }
  });
});

describe('diagnosis', () => {
  const delays = {
    'when Azure says': 7_000,
    'at once': 100,
    '5 to 30 s': 5_000,
    '1 min': 60_000,
    '10 min': 600_000,
    // The delay grows with the failures in a row, or is the quarantine of the identity.
    '0.5 s to 1 min': undefined,
    quarantine: undefined,
  };
  for (const [code, { reason, retry, advice, blamed }] of Object.entries<Refusal>(refusals))
    it(`of ${code} says ${reason} and tries again: ${retry}`, () => {
      const failure = { ...failureOf(code), ...(code === 'linkedRoleMissing' ? { action: 'join', scope: '/subnet' } : {}) };
      const diagnosis = diagnose(new ArmError(failure, 'what Azure says'), ['a', 'b'], () => 0);
      assert.deepEqual([diagnosis.code, diagnosis.reason, diagnosis.retryMs], [code, reason, delays[retry]]);
      const asTold = advice?.replace('<action>', 'join').replace('<scope>', '/subnet');
      assert.equal(diagnosis.message, advice === undefined ? 'what Azure says' : `${asTold}: what Azure says`);
      assert.deepEqual([...diagnosis.culprits], blamed === 'identity' ? ['a'] : []);
    });

  it('waits for the Retry-After of a passing failure', () => {
    const error = new ArmError({ code: 'transient', retryAfterSeconds: 9 }, 'busy');
    assert.equal(diagnose(error, [], () => 0).retryMs, 9_000);
  });

  /** As Azure would answer for a write of `a` and `b`, where `a` is to blame. */
  function failureOf(code: string): ArmFailure {
    const known = Object.keys(refusals).find((name): name is RefusalCode => name === code) ?? 'unknown';
    if (isAboutIdentities(known) || known === 'attachedIdentityGone') return { code: known, ids: ['a'] };
    switch (known) {
      case 'throttled':
        return { code: known, of: 'scope', source: 'header', retryAfterSeconds: 7 };
      case 'missingRole':
        return { code: known, action: undefined };
      case 'linkedRoleMissing':
        return { code: known, action: undefined, scope: undefined };
      case 'transient':
      case 'signInFailed':
        return { code: known, retryAfterSeconds: undefined };
      default:
        return { code: known };
    }
  }
});
