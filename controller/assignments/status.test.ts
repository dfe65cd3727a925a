import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import type { PodState } from './pod-state.ts';
import { blockedAssignments, noBindingMessage } from './status.ts';
import { matchOf, podState } from './testing/fixtures.ts';

const match = matchOf('i');
const anywhere = { forceNamespaced: false, bindingNamespaces: [] };
const withIdentity = (overrides: Parameters<typeof identity>[1]): Partial<PodState> => ({
  matches: [{ ...match, identity: identity('app/i', overrides) }],
});

function reasons(overrides: Partial<PodState>, status = 'Created'): string[] {
  const current = assignment(pod(), match.identity, match.binding, { status });
  return blockedAssignments(podState({ assignments: [current], ...overrides })).map(({ reason }) => reason);
}

describe('blockedAssignments', () => {
  const cases: [string, Partial<PodState>, string[]][] = [
    ['nothing for an identity that Azure can attach', {}, []],
    ['UnknownType for another type than 0, 1 and 2', withIdentity({ type: undefined }), ['UnknownType']],
    ['InvalidResourceID for a resourceID that is none', withIdentity({ identityId: undefined }), ['InvalidResourceID']],
    ['IdentityNotAllowed for an identity that the policy refuses', { notAllowed: new Set(['app/i']) }, ['IdentityNotAllowed']],
    [
      'IdentityNotAllowed also for a service principal',
      { ...withIdentity({ type: 1, identityId: undefined }), notAllowed: new Set(['app/i']) },
      ['IdentityNotAllowed'],
    ],
    ['UnsupportedNode for a node outside azureScopes', { scope: 'outside' }, ['UnsupportedNode']],
    ['UnsupportedNode for a node outside Azure', { scope: 'unsupported', providerID: 'aws:///i-1' }, ['UnsupportedNode']],
    ['WaitingForNode for a node without a providerID', { scope: 'pending', providerID: '' }, ['WaitingForNode']],
    ['nothing for a node that is not cached yet', { scope: 'pending', providerID: undefined }, []],
    ['nothing of the node for a service principal', { ...withIdentity({ type: 1 }), scope: 'unsupported' }, []],
  ];
  for (const [title, overrides, expected] of cases) it(`gives ${title}`, () => assert.deepEqual(reasons(overrides), expected));

  it('gives nothing for an object that is Assigned', () => {
    assert.deepEqual(reasons({ scope: 'unsupported' }, 'Assigned'), []);
  });
});

describe('noBindingMessage', () => {
  it('names the binding whose AzureIdentity does not exist', () => {
    const message = noBindingMessage(pod(), { dangling: binding('app/b', 'gone') }, anywhere);
    assert.match(
      message,
      /^AzureIdentityBinding app\/b has the selector 'sel' of this pod, but its AzureIdentity app\/gone does not exist$/,
    );
  });

  it('names a binding of the namespace that the label may mean', () => {
    const message = noBindingMessage(pod(), { nearMiss: binding('app/b', 'i', 'Sel') }, anywhere);
    assert.match(message, /gives this pod an AzureIdentity: AzureIdentityBinding app\/b has the selector 'Sel'$/);
  });

  it('mentions the namespace where identities of others do not count', () => {
    assert.match(noBindingMessage(pod(), {}, { ...anywhere, forceNamespaced: true }), /an AzureIdentity of its own namespace$/);
    const listed = noBindingMessage(pod(), {}, { ...anywhere, bindingNamespaces: ['shared', 'other'] });
    assert.match(listed, /an AzureIdentity of its own namespace or of shared, other$/);
  });
});
