import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scopeOfId } from '../../lib/azure/resource-ids.ts';
import { describeScope } from './describe.ts';
import { failScope } from './failure-status.ts';
import { afterWrite, emptyQuarantine } from './quarantine.ts';
import { initialState } from './state.ts';

const id = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/pool';
const now = 1_000_000;

describe('the description of a scope', () => {
  const scope = scopeOfId(id);
  assert.ok(scope);

  it('names nothing of a scope where all is well', () =>
    assert.deepEqual(describeScope({ scope, state: initialState }, now), { id: scope.displayId, paused: false, quarantined: [] }));

  it('has the failure while its next try is not due', () => {
    const failures = failScope(initialState.failures, { reason: 'MissingRole', message: 'no role', until: now + 1000 });
    const state = { ...initialState, failures };
    assert.deepEqual(describeScope({ scope, state }, now).failure, {
      reason: 'MissingRole',
      message: 'no role',
      until: '1970-01-01T00:16:41.000Z',
    });
    assert.equal(describeScope({ scope, state }, now + 1000).failure, undefined);
  });

  it('lists the identities that are kept out of writes', () => {
    const selection = { entries: [{ direction: 'attach', id: '/bad', namespace: 'team' }], trial: false } as const;
    const quarantine = afterWrite(emptyQuarantine, selection, { ok: false, culprits: new Set(['/bad']) }, now);
    const [held, ...others] = describeScope({ scope, state: { ...initialState, quarantine } }, now).quarantined;
    assert.equal(held?.identity, '/bad');
    assert.ok(Date.parse(held.until) > now);
    assert.deepEqual(others, []);
  });
});
