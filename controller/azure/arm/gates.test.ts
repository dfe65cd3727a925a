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
const refusal = (of: Throttled['of'], retryAfterSeconds = 20): Throttled => ({
  code: 'throttled',
  of,
  retryAfterSeconds,
  source: 'header',
});
const one = scope('s1', 'one');
const two = scope('S1', 'two');
const elsewhere = scope('s2', 'one');

test('a throttled scope waits for its kind of call, others go on', () => {
  let now = 1000;
  const gates = createGates(() => now);
  gates.close(one, 'write', refusal('scope'));
  assert.equal(gates.waitMs(one, 'write'), 20_000);
  assert.equal(gates.waitMs(one, 'read'), 0);
  assert.equal(gates.waitMs(one, 'poll'), 0);
  assert.equal(gates.waitMs(two, 'write'), 0);
  now += 19_999;
  assert.equal(gates.waitMs(one, 'write'), 1);
  now += 1;
  assert.equal(gates.waitMs(one, 'write'), 0);
});

test('a throttled subscription holds that kind of call for all its scopes, whatever their case, and no other subscription', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'write', refusal('subscription'));
  assert.equal(gates.waitMs(two, 'write'), 20_000);
  assert.equal(gates.waitMs(two, 'read'), 0);
  assert.equal(gates.waitMs(elsewhere, 'write'), 0);
});

test('a throttled caller makes no call at all to that subscription', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'read', refusal('principal'));
  for (const kind of ['read', 'write', 'poll'] as const) assert.equal(gates.waitMs(two, kind), 20_000);
  assert.equal(gates.waitMs(elsewhere, 'read'), 0);
});

test('a throttled look at an operation holds only the looks of that scope', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'poll', refusal('subscription'));
  assert.equal(gates.waitMs(one, 'poll'), 20_000);
  assert.equal(gates.waitMs(one, 'read'), 0);
  assert.equal(gates.waitMs(two, 'poll'), 0);
});

test('a shorter refusal does not open a gate early', () => {
  const gates = createGates(() => 0);
  gates.close(one, 'write', refusal('scope', 300));
  gates.close(one, 'write', refusal('scope', 1));
  assert.equal(gates.waitMs(one, 'write'), 300_000);
});
