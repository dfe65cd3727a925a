import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { IdentityPolicy, IdentityPolicyEntry, PolicySubject } from './policy.ts';
import { isAllowed, selectsByLabels } from './policy.ts';
import { identity } from './testing/fixtures.ts';

const idOf = (name: string, group = 'g') =>
  `/subscriptions/s/resourceGroups/${group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
const guid = 'cccccccc-0000-4000-8000-000000000001';
const managed = identity('team/reader');
const principal = (changes: Partial<PolicySubject> = {}): PolicySubject => ({
  ...identity('team/sp', { type: 1, identityId: undefined, clientID: guid, tenantID: 'contoso.example' }),
  ...changes,
});

const cases: [what: string, entry: IdentityPolicyEntry, subject: PolicySubject, allowed: boolean][] = [
  ['of the named namespace', { namespaces: ['other', 'team'] }, managed, true],
  ['of another namespace', { namespaces: ['other'] }, managed, false],
  ['of a namespace that a pattern names', { namespaces: ['te*'] }, managed, true],
  ['with the resourceID', { resourceIDs: [idOf('reader')] }, managed, true],
  ['with the resourceID in other case', { resourceIDs: [idOf('READER').toUpperCase()] }, managed, true],
  ['with a resourceID that a pattern names', { resourceIDs: [idOf('read*', '*')] }, managed, true],
  ['with a resourceID of another group', { resourceIDs: [idOf('*', 'other')] }, managed, false],
  ['with the resourceID in another namespace', { namespaces: ['other'], resourceIDs: [idOf('reader')] }, managed, false],
  ['with a resourceID that is none', { resourceIDs: ['*'] }, { ...managed, identityId: undefined }, false],
  ['with both ids', { resourceIDs: [idOf('*')], clientIDs: ['client-*'] }, managed, true],
  ['with the resourceID but another clientID', { resourceIDs: [idOf('*')], clientIDs: [guid] }, managed, false],
  ['without the clientID that is asked for', { resourceIDs: [idOf('*')], clientIDs: [guid] }, { ...managed, clientID: '' }, false],
  ['of type 0 that claims the clientID', { clientIDs: ['client-reader'] }, managed, false],
  ['of type 0 that claims the tenant', { tenantIDs: ['t'] }, { ...managed, tenantID: 't' }, false],
  ['of type 1 with clientID and tenant', { clientIDs: [guid], tenantIDs: ['Contoso.example'] }, principal(), true],
  [
    'of type 2 with a clientID in other case and blanks',
    { clientIDs: [guid] },
    principal({ type: 2, clientID: ` ${guid.toUpperCase()}` }),
    true,
  ],
  ['of type 1 with another clientID', { clientIDs: [guid] }, principal({ clientID: 'other' }), false],
  ['of type 1 with another tenant', { tenantIDs: [guid] }, principal(), false],
  ['with one auxiliary tenant of two', { tenantIDs: ['contoso.*', 'b'] }, principal({ auxiliaryTenantIDs: ['b', 'c'] }), false],
  ['with all auxiliary tenants', { tenantIDs: ['contoso.*', 'b', 'c'] }, principal({ auxiliaryTenantIDs: ['b', 'c'] }), true],
  ['of type 1 by an entry with resourceIDs', { resourceIDs: [idOf('*')], clientIDs: [guid] }, principal(), false],
  ['of type 3 with clientID and tenant', { clientIDs: [guid], tenantIDs: ['contoso.example'] }, principal({ type: 3 }), true],
  ['of type 3 with the clientID alone', { clientIDs: [guid] }, principal({ type: 3 }), false],
  ['of type 3 by patterns', { clientIDs: ['*'], tenantIDs: ['*'] }, principal({ type: 3 }), false],
  ['of type 3 by its namespace alone', { namespaces: ['team'] }, principal({ type: 3 }), false],
  ['of type 3 without a clientID', { clientIDs: [guid], tenantIDs: ['contoso.example'] }, principal({ type: 3, clientID: '' }), false],
  [
    'of type 3 whose clientID belongs to a resourceID that nothing allows',
    { clientIDs: [guid], tenantIDs: ['contoso.example'] },
    principal({ type: 3, identityId: idOf('reader').toLowerCase() }),
    false,
  ],
  ['by an empty list', { namespaces: [] }, managed, false],
  ['with the labels that are selected', { namespaces: { matchLabels: { trusted: 'yes' } } }, managed, true],
  ['without the labels that are selected', { namespaces: { matchLabels: { trusted: 'no' } } }, managed, false],
];

describe('isAllowed', () => {
  for (const [what, entry, subject, allowed] of cases)
    it(`${allowed ? 'allows' : 'refuses'} an identity ${what}`, () =>
      assert.equal(isAllowed([entry], subject, { trusted: 'yes' }), allowed));

  it('refuses type 3 without a policy', () => assert.equal(isAllowed(undefined, principal({ type: 3 }), {}), false));

  it('allows type 3 whose clientID belongs to a resourceID that an entry allows', () => {
    const policy = [
      { clientIDs: [guid], tenantIDs: ['contoso.example'] },
      { namespaces: ['team'], resourceIDs: [idOf('read*')] },
    ];
    const subject = principal({ type: 3, identityId: idOf('reader').toLowerCase() });
    assert.equal(isAllowed(policy, subject, {}), true);
    assert.equal(isAllowed(policy, { ...subject, identityId: idOf('writer').toLowerCase() }, {}), false);
  });

  it('allows everything without a policy, nothing with an empty one', () => {
    assert.equal(isAllowed(undefined, managed, {}), true);
    assert.equal(isAllowed([], managed, {}), false);
  });

  it('refuses by labels where the namespace is not known, even what must be absent', () => {
    const entry: IdentityPolicyEntry = { namespaces: { matchExpressions: [{ key: 'tenant', operator: 'DoesNotExist' }] } };
    assert.equal(isAllowed([entry], managed, undefined), false);
    assert.equal(isAllowed([entry], managed, {}), true);
  });

  const texts = fc.array(fc.constantFrom('*', 'team', 'a', 'client-reader', idOf('reader'), idOf('*')), { maxLength: 3 });
  const entries = fc.record({ namespaces: texts, resourceIDs: texts, clientIDs: texts, tenantIDs: texts }, { requiredKeys: [] });
  const subjects = fc.constantFrom<PolicySubject>(managed, principal(), principal({ tenantID: 'a', clientID: 'a' }));

  it('allows what any entry alone allows, and nothing else', () => {
    fc.assert(
      fc.property(fc.array(entries, { maxLength: 4 }), subjects, (policy: IdentityPolicy, subject) => {
        assert.equal(
          isAllowed(policy, subject, {}),
          policy.some((entry) => isAllowed([entry], subject, {})),
        );
      }),
    );
  });

  it('allows no more with another list, and no less with a longer one', () => {
    const names = ['namespaces', 'resourceIDs', 'clientIDs', 'tenantIDs'] as const;
    fc.assert(
      fc.property(entries, subjects, fc.constantFrom(...names), texts, (entry, subject, name, more) => {
        const before = isAllowed([entry], subject, {});
        const given = entry[name];
        const after = isAllowed([{ ...entry, [name]: given === undefined ? more : [...given, ...more] }], subject, {});
        // For type 0 an entry with claims alone allows nothing, so resourceIDs beside them may allow more.
        const hasClaimsAlone = entry.resourceIDs === undefined && (entry.clientIDs ?? entry.tenantIDs) !== undefined;
        if (given !== undefined) assert.ok(!before || after);
        else if (!(name === 'resourceIDs' && subject.type === 0 && hasClaimsAlone)) assert.ok(before || !after);
      }),
    );
  });
});

describe('selectsByLabels', () => {
  it('is true for a policy with a label selector only', () => {
    assert.equal(selectsByLabels(undefined), false);
    assert.equal(selectsByLabels([{ namespaces: ['a'] }, { clientIDs: [] }]), false);
    assert.equal(selectsByLabels([{ namespaces: ['a'] }, { namespaces: { matchLabels: { a: 'b' } } }]), true);
  });
});
