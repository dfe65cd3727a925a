import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isProtected, namesIdentity } from './protected.ts';

const clientId = '1111aaaa-0000-4000-8000-000000000001';
const kubelet = '/subscriptions/s/resourceGroups/Nodes/providers/Microsoft.ManagedIdentity/userAssignedIdentities/kubelet';

describe('protected identities', () => {
  it('protects identities by client id or by resource id, in any case', () => {
    const listed = [clientId.toUpperCase(), kubelet];
    assert.equal(isProtected(listed, '/any', clientId), true);
    assert.equal(isProtected(listed, kubelet.toUpperCase(), undefined), true);
    assert.equal(isProtected(listed, '/any', '2222aaaa-0000-4000-8000-000000000002'), false);
    assert.equal(isProtected(listed, '/any', undefined), false);
  });

  it('protects nothing by an empty entry or an unknown client id', () => {
    assert.equal(isProtected([''], '/any', ''), false);
  });

  it('accepts protected identities only by full client id or resource id', () => {
    for (const text of [clientId, clientId.toUpperCase(), kubelet, kubelet.toLowerCase()]) assert.ok(namesIdentity(text), text);
    for (const text of ['kubelet', 'msi', `${clientId}0`, '/subscriptions/s', '']) assert.ok(!namesIdentity(text), text);
  });
});
