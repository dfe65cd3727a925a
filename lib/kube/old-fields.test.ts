import assert from 'node:assert/strict';
import { test } from 'node:test';
import { specOf } from './old-fields.ts';

test('renames fields of aad-pod-identity before 1.6, and prefers the new names', () => {
  const old = { type: 0, ResourceID: '/r', ClientID: 'c', ClientPassword: { name: 's' }, TenantID: 't', adEndpoint: 'e' };
  const today = { type: 0, resourceID: '/r', clientID: 'c', clientPassword: { name: 's' }, tenantID: 't', adEndpoint: 'e' };
  assert.deepEqual(specOf({ spec: old }), today);
  assert.deepEqual(specOf({ spec: { AzureIdentity: 'i', Selector: 's' } }), { azureIdentity: 'i', selector: 's' });
  assert.deepEqual(specOf({ spec: { PodLabels: { App: 'x' } } }), { podLabels: { App: 'x' } });
  for (const both of [
    { clientID: 'new', ClientID: 'old' },
    { ClientID: 'old', clientID: 'new' },
  ])
    assert.deepEqual(specOf({ spec: both }), { clientID: 'new' });
});

test('returns a spec without old fields as it is', () => {
  const spec = { resourceID: '/r', clientid: 'x', constructor: 'y' };
  assert.equal(specOf({ spec }), spec);
  for (const raw of [undefined, {}, { spec: null }, { spec: [] }]) assert.equal(specOf(raw), undefined);
});
