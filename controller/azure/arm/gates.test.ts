import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Scope } from '../../../lib/azure/resource-ids.ts';
import { scopeOfId } from '../../../lib/azure/resource-ids.ts';
import type { Throttled } from './errors.ts';
import { createGates } from './gates.ts';

function scope(subscription: string, name: string): Scope {
  const found = scopeOfId(`/subscriptions/${subscription}/resourceGroups/rg/providers/Microsoft.Compute/virtualMachineScaleSets/${name}`);
  assert.ok(found);
  return found;
}
const throttled = (of: Throttled['of'], retryAfterSeconds = 20): Throttled => ({
  code: 'throttled',
  of,
  retryAfterSeconds,
  source: 'header',
});
const one = scope('s1', 'one');
const two = scope('S1', 'two');
const elsewhere = scope('s2', 'one');

test('closes a throttled scope for that kind of call only', () => {
  let now = 1000;
  const gates = createGates(() => now);
  gates.close(one, 'write', throttled('scope'));
  assert.equal(gates.waitMs(one, 'write'), 20_000);
  assert.equal(gates.waitMs(one, 'read'), 0);
  assert.equal(gates.waitMs(one, 'poll'), 0);
  assert.equal(gates.waitMs(two, 'write'), 0);
  now += 19_999;
  assert.equal(gates.waitMs(one, 'write'), 1);
  now += 1;
  assert.equal(gates.waitMs(one, 'write'), 0);
});

test('closes a throttled subscription for that kind of call, whatever its case', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'write', throttled('subscription'));
  assert.equal(gates.waitMs(two, 'write'), 20_000);
  assert.equal(gates.waitMs(two, 'read'), 0);
  assert.equal(gates.waitMs(elsewhere, 'write'), 0);
});

test('closes the subscription for every kind of call of a throttled caller', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'read', throttled('principal'));
  for (const kind of ['read', 'write', 'poll'] as const) assert.equal(gates.waitMs(two, kind), 20_000);
  assert.equal(gates.waitMs(elsewhere, 'read'), 0);
});

test('closes a scope only for polls when a poll is throttled', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'poll', throttled('subscription'));
  assert.equal(gates.waitMs(one, 'poll'), 20_000);
  assert.equal(gates.waitMs(one, 'read'), 0);
  assert.equal(gates.waitMs(two, 'poll'), 0);
});

test('does not open a gate early after a shorter wait', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'write', throttled('scope', 300));
  gates.close(one, 'write', throttled('scope', 1));
  assert.equal(gates.waitMs(one, 'write'), 300_000);
});

test('says until when the last closed gate of each budget is closed', () => {
  let now = 1000;
  const gates = createGates(() => now);
  assert.deepEqual(gates.closedUntil(), new Map());
  gates.close(one, 'write', throttled('scope', 20));
  gates.close(two, 'write', throttled('scope', 30));
  gates.close(one, 'poll', throttled('subscription', 10));
  gates.close(one, 'read', throttled('subscription', 40));
  gates.close(elsewhere, 'read', throttled('principal', 5));
  assert.deepEqual(
    gates.closedUntil(),
    new Map([
      ['resource', 31_000],
      ['subscription', 41_000],
      ['principal', 6_000],
    ]),
  );
  now = 31_000;
  assert.deepEqual(gates.closedUntil(), new Map([['subscription', 41_000]]));
});
