// What an error is about, where its code alone does not say it. refusals.test.ts has the usual answers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { ArmFailure } from './errors.ts';
import { errorOf } from './errors.ts';
import type { WriteContext } from './subject.ts';
import { subjectOf } from './subject.ts';

const group = '/subscriptions/s/resourcegroups/nodes';
const scope = `${group}/providers/microsoft.compute/virtualmachinescalesets/pool`;
const identity = (name: string, of = 'ids', subscription = 's') =>
  `/subscriptions/${subscription}/resourcegroups/${of}/providers/microsoft.managedidentity/userassignedidentities/${name}`;
const write: WriteContext = {
  scope: { id: scope },
  written: [identity('one'), identity('two', 'more')],
  attached: new Map([[identity('ghost', 'old'), null]]),
};
const failureOf = (status: number, code: string, message: string, additionalInfo?: unknown): ArmFailure =>
  errorOf({ status, headers: {}, body: { error: { code, message, additionalInfo } } }, new Date(0), write).failure;

describe('a missing right', () => {
  const join = 'Microsoft.Network/virtualNetworks/subnets/join/action';
  const subnet = '/subscriptions/s/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/v/subnets/n';

  test('on another resource has its action and scope from the text of Azure', () => {
    for (const what of [
      `action(s) '${join}' on the linked scope(s) '${subnet}' (respectively)`,
      `action '${join}' over scope '${subnet}'`,
    ]) {
      const text = `The client has permission to perform action 'Microsoft.Compute/virtualMachineScaleSets/write' on scope '${scope}'; however, it does not have permission to perform ${what} or the scope is invalid.`;
      assert.deepEqual(failureOf(403, 'LinkedAuthorizationFailed', text), { code: 'linkedRoleMissing', action: join, scope: subnet });
    }
  });

  test('in a subscription of another tenant blames no identity for another action', () => {
    const action = 'Microsoft.Compute/galleries/images/versions/read';
    const text = `The client has permission to perform action '${action}' on scope '${scope}', however the current tenant 't' is not authorized to access linked subscription 's'.`;
    const expected = { code: 'linkedRoleMissing', action, scope: '/subscriptions/s' };
    assert.deepEqual(failureOf(403, 'LinkedAuthorizationFailed', text), expected);
  });
});

describe('something that was not found', () => {
  const missing = (type: string, name: string, of: string) =>
    failureOf(404, 'ResourceNotFound', `The Resource '${type}/${name}' under resource group '${of}' was not found.`);

  test('is an identity by its type', () => {
    assert.deepEqual(missing('Microsoft.ManagedIdentity/userAssignedIdentities', 'one', 'ids'), { code: 'identityNotFound', ids: [] });
  });

  test('is the scale set by type, name and group only', () => {
    assert.equal(missing('Microsoft.Compute/virtualMachineScaleSets', 'Pool', 'Nodes').code, 'notFound');
    assert.equal(missing('Microsoft.Compute/virtualMachineScaleSets', 'pool', 'elsewhere').code, 'referenceNotFound');
    assert.equal(missing('Microsoft.Compute/proximityPlacementGroups', 'pool', 'nodes').code, 'referenceNotFound');
  });

  test('is the identity of a group, unless several are in groups of that name', () => {
    const ofGroup = (written: readonly string[]) => {
      const body = { error: { code: 'ResourceGroupNotFound', message: "Resource group 'IDs' could not be found." } };
      return errorOf({ status: 404, headers: {}, body }, new Date(0), { ...write, written }).failure;
    };
    assert.deepEqual(ofGroup(write.written), { code: 'identityNotFound', ids: [identity('one')] });
    const elsewhere = identity('three', 'ids', 'other');
    assert.deepEqual(ofGroup([...write.written, elsewhere]), { code: 'identityNotFound', ids: [] });
    assert.equal(ofGroup([elsewhere.replace('/ids/', '/x/')]).code, 'referenceNotFound');
  });
});

describe('a policy that denies', () => {
  const denied = (path: string) =>
    failureOf(403, 'RequestDisallowedByPolicy', "Resource 'pool' was disallowed by policy.", [
      { type: 'PolicyViolation', info: { evaluationDetails: { evaluatedExpressions: [{ expressionKind: 'Field', path }] } } },
    ]);

  test('is about identities where it evaluated them, and names none of them', () => {
    assert.deepEqual(denied('identity.userAssignedIdentities'), { code: 'identityDisallowed', ids: [] });
  });

  test('is about the scale set where it evaluated something else', () => {
    assert.deepEqual(denied('properties.virtualMachineProfile.osProfile'), { code: 'policyDenied' });
  });
});

describe('a broken identity that is attached', () => {
  test('is not to blame where the text names one of the write too', () => {
    const text = `Resources '${identity('ghost', 'old')}' and '${identity('one')}' are invalid.`;
    assert.equal(failureOf(400, 'BadRequest', text).code, 'identityInvalid');
    assert.equal(failureOf(400, 'BadRequest', text.replace(identity('one'), 'x')).code, 'attachedIdentityBroken');
  });
});

test('an error is about an identity of the write wherever its text names one', () => {
  const words = fc.stringMatching(/^[A-Za-z ,.;:()'"]{0,60}$/);
  fc.assert(
    fc.property(words, words, fc.constantFrom(...write.written), fc.string(), (before, after, id, code) => {
      const { about, ids } = subjectOf(code, `${before} '${id.toUpperCase()}' ${after}`, undefined, write);
      assert.deepEqual([about, ids], ['identity', [id]]);
      assert.equal(subjectOf(code, `${before} '${id}' ${after}`, undefined, undefined).about, 'scope', 'a read');
    }),
  );
});
