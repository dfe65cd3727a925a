import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ArmError } from './arm/errors.ts';
import { rememberCalls } from './call-status.ts';

const request = { method: 'GET', url: '/x' } as const;
const states = (calls: ReturnType<ReturnType<typeof rememberCalls>['calls']>) => [calls.signIn.state, calls.resourceManager.state];

describe('the status of calls to Azure', () => {
  it('is unknown before the first call', () => {
    const { calls } = rememberCalls(
      () => Promise.reject(new Error('not called')),
      () => 0,
    );
    assert.deepEqual(states(calls()), ['unknown', 'unknown']);
  });

  it('is working after any answer, also one that refuses', async () => {
    const { send, calls } = rememberCalls(
      () => Promise.resolve({ status: 403, headers: {}, body: {} }),
      () => 0,
    );
    await send(request);
    assert.deepEqual(calls(), {
      signIn: { state: 'working', at: '1970-01-01T00:00:00.000Z' },
      resourceManager: { state: 'working', at: '1970-01-01T00:00:00.000Z' },
    });
  });

  it('tells a sign-in that fails from a Resource Manager that does not answer', async () => {
    const failures = [
      new ArmError({ code: 'signInFailed', retryAfterSeconds: undefined }, 'AADSTS7000215: wrong secret'),
      new ArmError({ code: 'transient', retryAfterSeconds: undefined }, 'connect ECONNREFUSED'),
    ];
    const { send, calls } = rememberCalls(
      () => Promise.reject(failures.shift() ?? new Error('no more')),
      () => 0,
    );
    await assert.rejects(send(request));
    assert.deepEqual(states(calls()), ['failing', 'unknown']);
    await assert.rejects(send(request));
    assert.deepEqual(states(calls()), ['failing', 'failing']);
  });

  it('takes a token that Resource Manager does not accept for a sign-in that fails', async () => {
    const { send, calls } = rememberCalls(
      () => Promise.resolve({ status: 401, headers: {}, body: {} }),
      () => 0,
    );
    await send(request);
    assert.deepEqual(states(calls()), ['failing', 'working']);
  });

  it('does not count the call of a leader that stops', async () => {
    const { send, calls } = rememberCalls(
      () => Promise.reject(new Error('stopped')),
      () => 0,
    );
    await assert.rejects(send(request));
    assert.deepEqual(states(calls()), ['unknown', 'unknown']);
  });
});
