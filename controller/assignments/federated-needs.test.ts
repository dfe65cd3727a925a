import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFederatedNeeds } from './federated-needs.ts';
import { needOf } from './testing/fixtures.ts';

const [red, blue] = [needOf('web', 'red'), needOf('web', 'blue')];

describe('federated needs', () => {
  it('changes each identity that a pod begins or ends to need', () => {
    const needs = createFederatedNeeds();
    assert.deepEqual(needs.update('app/web', [red, blue]), [red.identityId, blue.identityId]);
    assert.deepEqual(needs.update('app/web', [blue]), [red.identityId]);
    assert.deepEqual([needs.needsOf(red.identityId), needs.needsOf(blue.identityId)], [[], [blue]]);
    assert.deepEqual(needs.identitiesOfPod('app/web'), [blue.identityId]);
    assert.deepEqual(needs.update('app/web', []), [blue.identityId]);
    assert.deepEqual(needs.identitiesOfPod('app/web'), []);
  });

  it('changes nothing when a pod needs the same as before', () => {
    const needs = createFederatedNeeds();
    needs.update('app/web', [red]);
    assert.deepEqual(needs.update('app/web', [needOf('web', 'red')]), []);
  });

  it('changes the identity when the pod only keeps it from now on', () => {
    const needs = createFederatedNeeds();
    needs.update('app/web', [red]);
    assert.deepEqual(needs.update('app/web', [{ ...red, keepOnly: true }]), [red.identityId]);
  });

  it('has the needs of all pods of an identity', () => {
    const needs = createFederatedNeeds();
    const other = needOf('other', 'red');
    needs.update('app/web', [red]);
    needs.update('app/other', [other]);
    assert.deepEqual(needs.needsOf(red.identityId), [red, other]);
  });
});
