import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { createEntraGates } from './gates.ts';

const a = { tenantId: 'T1', clientId: 'a' };
const b = { tenantId: 't1', clientId: 'b' };
const other = { tenantId: 't2', clientId: 'a' };

test('closes a tenant for as long as Entra says, 30 s where it says nothing', async () => {
  const clock = createFakeClock();
  const gates = createEntraGates(clock);
  gates.closeTenant(a, 7);
  assert.deepEqual([gates.closedFor(a), gates.closedFor(b), gates.closedFor(other)], [7, 7, undefined]);
  await clock.advance(7_001);
  assert.equal(gates.closedFor(b), undefined);
  gates.closeTenant(a, undefined);
  assert.equal(gates.closedFor(b), 30);
});

test('closes one client alone', () => {
  const gates = createEntraGates(createFakeClock());
  gates.closeClient(a, 5);
  assert.deepEqual([gates.closedFor({ tenantId: 't1', clientId: 'A' }), gates.closedFor(b)], [5, undefined]);
});

test('closes nothing for longer than five minutes or less than a second', () => {
  const gates = createEntraGates(createFakeClock());
  gates.closeTenant(a, 86_400);
  assert.equal(gates.closedFor(a), 300);
  gates.closeTenant(other, 0);
  assert.equal(gates.closedFor(other), 1);
});
