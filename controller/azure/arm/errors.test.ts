import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { identityIdsIn } from '../../../lib/azure/resource-ids.ts';
import { parseRetryAfter } from '../../../lib/azure/retry-after.ts';
import type { ArmFailure } from './errors.ts';
import { ArmError, errorOf, operationErrorOf } from './errors.ts';
import type { WriteContext } from './subject.ts';

const now = new Date('2026-01-01T00:00:00Z');
const subscription = '/subscriptions/0a1b2c3d-0000-4000-8000-00000000000f';
const scaleSet = `${subscription}/resourceGroups/MC_rg/providers/Microsoft.Compute/virtualMachineScaleSets/pool`;
const identity = (name: string, group = 'ids.(prod)') =>
  `${subscription}/resourcegroups/${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;

/** Of the scale set; every id that a text names and `others` lacks is one of the write. */
const writeOf = (text: string, others: readonly string[] = []): WriteContext => ({
  scope: { id: scaleSet.toLowerCase() },
  written: identityIdsIn(text).filter((id) => !others.includes(id)),
  attached: new Map(others.map((id) => [id, null])),
});

const refused = (status: number, code: string, message: string, headers: Record<string, string> = {}): ArmFailure =>
  errorOf({ status, headers, body: { error: { code, message } } }, now, writeOf(message)).failure;
const failed = (code: string, message: string, status = 'Failed'): ArmFailure =>
  operationErrorOf({ status: 200, headers: {}, body: { status, error: { code, message } } }, now, writeOf(message)).failure;

const wrapped = (status: string, inner: string) =>
  `Identity operation for resource '${scaleSet}' failed with error 'Failed to perform resource identity operation. Status: '${status}'. Response: '{"error":{"code":"${status}","message":"${inner}"}}'.'.`;

describe('errorOf for bad identities', () => {
  test('finds the missing identity, not the scale set, in the wrapped answer', () => {
    const message = wrapped('BadRequest', `Resource '${identity('gone')}' was not found.`);
    const expected = { code: 'identityNotFound', ids: [identity('gone').toLowerCase()] };
    assert.deepEqual(refused(400, 'FailedIdentityOperation', message), expected);
    assert.deepEqual(failed('FailedIdentityOperation', message), expected);
  });

  test('finds all identities of a missing role in the joined list', () => {
    const list = [identity('one'), identity('two', 'rg-2'), identity('three', 'a_b.c(d)')];
    const message =
      `The client 'x' with object id 'y' has permission to perform action 'Microsoft.Compute/virtualMachineScaleSets/write' on scope '${scaleSet}'; ` +
      `however, it does not have permission to perform action(s) 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action' on the linked scope(s) '${list.join(',')}' (respectively) or the linked scope(s) are invalid.`;
    assert.deepEqual(refused(403, 'LinkedAuthorizationFailed', message), {
      code: 'identityRoleMissing',
      ids: list.map((id) => id.toLowerCase()),
    });
  });

  test('finds the identity that a deny assignment covers', () => {
    const message = `... on the linked scope(s) '${identity('one')}'; however, the access is denied because of the deny assignment with name 'lock' and Id 'z' at scope '${subscription}'.`;
    assert.deepEqual(refused(403, 'LinkedAuthorizationFailed', message), {
      code: 'identityDenied',
      ids: [identity('one').toLowerCase()],
    });
  });

  test('finds an identity of another tenant by the subscription in the error', () => {
    const [here, abroad] = [identity('one').toLowerCase(), identity('two').toLowerCase().replace('00000000000f', '00000000000e')];
    const other = abroad.split('/')[2]?.toUpperCase();
    const action = `The client has permission to perform action 'Microsoft.ManagedIdentity/userAssignedIdentities/assign/action' on scope '${scaleSet}', however`;
    for (const message of [
      `${action} the current tenant 't' is not authorized to access linked subscription '${other}'.`,
      `${action} the linked subscription '${other}' was not found. `,
    ]) {
      const answer = { status: 403, headers: {}, body: { error: { code: 'LinkedAuthorizationFailed', message } } };
      const write = { ...writeOf(''), written: [here, abroad] };
      assert.deepEqual(errorOf(answer, now, write).failure, { code: 'identityOfOtherTenant', ids: [abroad] });
      assert.deepEqual(errorOf(answer, now, { ...write, written: [here] }).failure, { code: 'identityOfOtherTenant', ids: [] });
    }
  });

  test('finds the identity whose id is there twice, in another case', () => {
    const message = `The identity id(s) '${identity('one')}', '${identity('ONE')}' cannot be duplicated in the provided identityIds list.`;
    assert.deepEqual(refused(400, 'InvalidParameter', message), {
      code: 'identityInvalid',
      ids: [identity('one').toLowerCase()],
    });
  });

  for (const code of ['LinkedInvalidPropertyId', 'InvalidParameter', 'BadRequest', 'FailedIdentityOperation', 'AnythingElse'])
    test(`reads the id that a 400 with the code ${code} names`, () => {
      const failure = { code: 'identityInvalid', ids: [identity('one').toLowerCase()] };
      assert.deepEqual(refused(400, code, `Property id '${identity('one')}' at path 'identity' is invalid.`), failure);
    });

  test('reads the id that the end of an operation names', () => {
    const failure = { code: 'identityInvalid', ids: [identity('one').toLowerCase()] };
    assert.deepEqual(failed('LinkedInvalidPropertyId', `Property id '${identity('one')}' is invalid.`), failure);
  });

  test('finds ids of any legal name in any quotes and punctuation', () => {
    const names = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_-]{2,30}$/);
    const groups = fc.stringMatching(/^[A-Za-z0-9_().-]{0,20}[A-Za-z0-9_()-]$/);
    const around = fc.constantFrom(["'", "'"], ['"', '"'], ["\\'", "\\'"], ['\\"', '\\"'], [' ', '.'], [' ', ', ']);
    fc.assert(
      fc.property(fc.array(fc.tuple(names, groups, around), { minLength: 1, maxLength: 5 }), (parts) => {
        const ids = parts.map(([name, group]) => identity(name, group));
        const text = parts.map(([, , [before, after]], index) => `words ${before}${ids[index]}${after}`).join(' and ');
        assert.deepEqual(identityIdsIn(text), [...new Set(ids.map((id) => id.toLowerCase()))]);
      }),
    );
  });
});

describe('errorOf for throttling', () => {
  test('takes the wait of a 429 from its header', () => {
    assert.deepEqual(refused(429, 'OperationNotAllowed', 'too many', { 'retry-after': '300' }), {
      code: 'throttled',
      retryAfterSeconds: 300,
      of: 'scope',
      source: 'header',
    });
  });

  test('takes the wait of a 429 from the text of the wrapped answer', () => {
    const message = wrapped(
      'TooManyRequests',
      `Request is temporarily throttled because resource ${scaleSet} has issued too many requests. Retry after 27 seconds.`,
    );
    const expected = { code: 'throttled', retryAfterSeconds: 27, of: 'scope', source: 'text' };
    assert.deepEqual(refused(429, 'FailedIdentityOperation', message), expected);
    assert.deepEqual(failed('FailedIdentityOperation', message), expected);
  });

  test('waits 20 s after a 429 that names no time', () => {
    assert.deepEqual(refused(429, 'TooManyRequests', ''), { code: 'throttled', retryAfterSeconds: 20, of: 'scope', source: 'default' });
  });

  test('finds out whose budget is spent by the headers, not by the text', () => {
    const of = (code: string, message: string, headers: Record<string, string> = {}) => {
      const failure = refused(429, code, message, headers);
      return failure.code === 'throttled' ? failure.of : failure.code;
    };
    const usual = 'The server rejected the request because too many requests have been received for this subscription.';
    const remaining = (list: string) => of('OperationNotAllowed', usual, { 'x-ms-ratelimit-remaining-resource': list });
    assert.equal(of('OperationNotAllowed', usual), 'scope');
    assert.equal(remaining('Microsoft.Compute/UpdateVMScaleSetResource;0,Microsoft.Compute/UpdateVMScaleSetSubscription;498'), 'scope');
    assert.equal(
      remaining('Microsoft.Compute/UpdateVMScaleSetResource;3,Microsoft.Compute/UpdateVMScaleSetSubscription;0'),
      'subscription',
    );
    assert.equal(remaining('Microsoft.Compute/PutVM3Min;0,Microsoft.Compute/PutVM30Min;100'), 'subscription');
    assert.equal(of('SubscriptionRequestsThrottled', "Number of requests for subscription 'x' exceeded"), 'principal');
    assert.equal(of('TooManyRequests', '', { 'x-ms-ratelimit-remaining-subscription-writes': '0' }), 'principal');
    assert.equal(of('TooManyRequests', '', { 'x-ms-ratelimit-remaining-subscription-reads': '200' }), 'scope');
  });

  test('reads Retry-After as seconds or as a date, never negative', () => {
    assert.equal(parseRetryAfter('17', now), 17);
    assert.equal(parseRetryAfter('Thu, 01 Jan 2026 00:01:30 GMT', now), 90);
    assert.equal(parseRetryAfter('Thu, 01 Jan 2015 00:01:30 GMT', now), 0);
    assert.equal(parseRetryAfter('soon', now), undefined);
    assert.equal(parseRetryAfter(undefined, now), undefined);
  });
});

describe('errorOf', () => {
  test('keeps the Retry-After of a 503', () =>
    assert.deepEqual(refused(503, 'ServerBusy', 'x', { 'retry-after': '7' }), { code: 'transient', retryAfterSeconds: 7 }));

  test('maps an operation that was preempted to canceled', () => {
    assert.deepEqual(failed('OperationPreempted', 'preempted', 'Canceled'), { code: 'canceled' });
    assert.deepEqual(failed('OperationPreempted', 'preempted', 'Failed'), { code: 'canceled' });
    assert.deepEqual(failed('InternalExecutionError', 'An internal execution error occurred.'), {
      code: 'transient',
      retryAfterSeconds: undefined,
    });
  });

  test('keeps the request ids, and accepts a body of any shape', () => {
    const headers = { 'x-ms-request-id': 'r', 'x-ms-correlation-request-id': 'c' };
    const error = errorOf({ status: 502, headers, body: '<html>Bad gateway</html>' }, now);
    assert.deepEqual(error.ids, { requestId: 'r', correlationId: 'c' });
    assert.equal(error.failure.code, 'transient');
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 400, max: 599 }), (body, status) => {
        const { failure, message } = errorOf({ status, headers: {}, body }, now);
        assert.ok(failure.code.length > 0 && message.length > 0 && message.length < 1100);
      }),
    );
  });
});

describe('the message of an ArmError', () => {
  test('is cut between words, so that no part of a resource id is left at its end', () => {
    const { message } = new ArmError({ code: 'unknown' }, `${'x '.repeat(450)}'${identity('a'.repeat(100))}'`);
    assert.ok(!message.includes('subscriptions'), message.slice(-100));
    assert.ok(message.endsWith("'..."));
  });
});
