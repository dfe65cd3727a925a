import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { TokenKey } from './tokens.ts';
import { SharedTokens, textOf } from './tokens.ts';

const keyOf = (clientId: string, scope: string): TokenKey => ({
  authority: 'https://login.microsoftonline.com',
  tenantId: 'tenant',
  clientId,
  scope,
  capabilities: [],
});

function harness() {
  const clock = createFakeClock();
  const tokens = new SharedTokens({ clock, random: () => 0.5 });
  const token = { accessToken: 'token', expiresOn: new Date(clock.wall() + 3_600_000), obtainedAt: clock.wall() };
  return {
    add: (clientId: string, scope: string) => tokens.set(keyOf(clientId, scope), token),
    has: (clientId: string, scope: string) => tokens.get(textOf(keyOf(clientId, scope))) !== undefined,
  };
}

describe('the shared tokens', () => {
  it('of one client do not displace those of others, however many resources it names', () => {
    const { add, has } = harness();
    add('quiet', 'vault');
    for (let index = 0; index < 6_000; index += 1) add('loud', `r${index}`);
    assert.ok(has('quiet', 'vault'));
    assert.deepEqual(
      ['r0', 'r5799', 'r5800', 'r5999'].map((scope) => has('loud', scope)),
      [false, false, true, true],
    );
  });

  it('of a client with many stay while they are renewed', () => {
    const { add, has } = harness();
    for (let index = 0; index < 200; index += 1) add('loud', `r${index}`);
    add('loud', 'r0');
    add('loud', 'new');
    assert.deepEqual(
      ['r0', 'r1', 'new'].map((scope) => has('loud', scope)),
      [true, false, true],
    );
  });
});
