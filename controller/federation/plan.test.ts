import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { credentialNameOf, hasOurPattern } from '../../lib/identities/federation/credential-name.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import type { FederatedCredential } from '../azure/arm/federated-credentials.ts';
import type { PlanInput } from './plan.ts';
import { isProofDue, planCredential } from './plan.ts';
import { credentialOf, foreignCredential, identityId, ownName, trust } from './testing/harness.ts';

const now = new Date('2026-02-01T00:00:00.000Z');
const earlier = '2026-01-01T00:00:00.000Z';
const ids = { clientId: 'client', tenantId: 'tenant', principalId: 'object' };
const recordOf = (changes: Partial<FederationRecord> = {}): FederationRecord => ({
  identity: identityId,
  clientId: 'client',
  tenantId: 'tenant',
  objectId: 'object',
  ...trust,
  credential: { name: ownName, owned: true, createdAt: earlier },
  provenAt: earlier,
  former: [],
  unusedSince: undefined,
  ...changes,
});
const plan = (credentials: FederatedCredential[], changes: Partial<PlanInput> = {}) =>
  planCredential({ record: undefined, identity: identityId, ids, trust, credentials, manage: true, now, ...changes });
const rotated = { ...trust, issuer: 'https://issuer.example.com/new/' };

describe('planCredential', () => {
  it('makes a credential where none is there, named by issuer and subject', () => {
    const { record, step } = plan([foreignCredential('ci')]);
    assert.deepEqual(step, { kind: 'put', name: ownName });
    assert.deepEqual(record.credential, { name: ownName, owned: true, createdAt: now.toISOString() });
    assert.equal(record.provenAt, undefined);
  });

  it('uses a credential that is there under any name, and does not own it', () => {
    const { record, step } = plan([foreignCredential('ci'), credentialOf('by-hand')]);
    assert.deepEqual(step, { kind: 'use' });
    assert.deepEqual(record.credential, { name: 'by-hand', owned: false, createdAt: now.toISOString() });
  });

  it('does not own what another cluster with the same issuer has made under our name', () => {
    const { record, step } = plan([credentialOf(ownName)]);
    assert.deepEqual([step.kind, record.credential?.owned], ['use', false]);
  });

  it('leaves the record of a credential that is still there as it is', () => {
    const record = recordOf();
    assert.deepEqual(plan([credentialOf('by-hand'), credentialOf(ownName)], { record }), { record, step: { kind: 'use' } });
  });

  for (const [what, credential] of [
    ['subject in other case', { subject: trust.subject.toUpperCase() }],
    ['issuer without its slash', { issuer: trust.issuer.slice(0, -1) }],
  ] as const)
    it(`does not use a credential with the ${what}`, () => assert.equal(plan([credentialOf('a', credential)]).step.kind, 'put'));

  it('makes a credential of ours anew that is gone, and has it proven again', () => {
    const { record, step } = plan([], { record: recordOf() });
    assert.deepEqual(step, { kind: 'put', name: ownName });
    assert.equal(record.provenAt, earlier);
    assert.equal(isProofDue(record), true);
  });

  it('gives a credential of ours its content again', () => {
    const changed = credentialOf(ownName, { subject: 'other' });
    assert.deepEqual(plan([changed], { record: recordOf() }).step, { kind: 'put', name: ownName });
  });

  it('gives a credential of ours another audience', () => {
    const audience = 'api://AzureADTokenExchangeUSGov';
    const { record, step } = plan([credentialOf(ownName)], { record: recordOf(), trust: { ...trust, audience } });
    assert.deepEqual([step, record.audience], [{ kind: 'put', name: ownName }, audience]);
    assert.deepEqual(record.former, []);
  });

  it('does not touch what somebody else has under our name or for our subject', () => {
    assert.deepEqual(plan([credentialOf(ownName, { subject: 'other' })]).step, { kind: 'taken', name: ownName });
    assert.deepEqual(plan([credentialOf('a', { audiences: ['other'] })]).step, { kind: 'taken', name: 'a' });
  });

  it('finds no room beside twenty credentials', () => {
    const full = Array.from({ length: 20 }, (_, i) => foreignCredential(`ci-${i}`));
    assert.deepEqual(plan(full).step, { kind: 'limit' });
    assert.deepEqual(plan([...full.slice(1), credentialOf('mine')]).step, { kind: 'use' });
  });

  it('makes nothing where credentials are not managed', () => {
    assert.deepEqual(plan([], { manage: false }).step, { kind: 'missing', name: ownName });
    assert.equal(plan([credentialOf('by-hand')], { manage: false }).step.kind, 'use');
  });

  it('makes a credential for a new issuer and keeps the former one for now', () => {
    const { record, step } = plan([credentialOf(ownName)], { record: recordOf(), trust: rotated });
    assert.equal(step.kind, 'put');
    assert.deepEqual([record.issuer, record.provenAt], [rotated.issuer, earlier]);
    assert.deepEqual(record.former, [{ name: ownName, unusedSince: now.toISOString() }]);
  });

  it('owns its former credential again when the issuer comes back', () => {
    const { record: between } = plan([credentialOf(ownName)], { record: recordOf(), trust: rotated });
    const rotatedName = credentialNameOf(rotated);
    const { record } = plan([credentialOf(ownName), credentialOf(rotatedName, rotated)], { record: between });
    assert.deepEqual([record.credential?.name, record.credential?.owned], [ownName, true]);
    assert.deepEqual(record.former, [{ name: rotatedName, unusedSince: now.toISOString() }]);
  });

  it('begins anew for an identity that was deleted and made again', () => {
    const { record, step } = plan([], { record: recordOf(), ids: { ...ids, clientId: 'new' } });
    assert.equal(step.kind, 'put');
    assert.deepEqual([record.clientId, record.provenAt, record.former], ['new', undefined, []]);
  });

  it('never owns a credential that it did not make, whatever Azure has', () => {
    const names = fc.constantFrom(ownName, 'a', 'b', 'aad-pod-identity-0123456789');
    const credential = fc
      .record({ name: names, issuer: fc.constantFrom(trust.issuer, 'x'), subject: fc.constantFrom(trust.subject, 'y') })
      .map((given) => credentialOf(given.name, given));
    const history = fc.array(fc.uniqueArray(credential, { selector: ({ name }) => name, maxLength: 4 }), { maxLength: 5 });
    fc.assert(
      fc.property(history, (states) => {
        let record: FederationRecord | undefined;
        const made = new Set<string>();
        for (const credentials of states) {
          const planned = plan(credentials, { record });
          if (planned.step.kind === 'put') made.add(planned.step.name);
          record = planned.record;
          const owned = [...(record.credential?.owned === true ? [record.credential.name] : []), ...record.former.map(({ name }) => name)];
          for (const name of owned) assert.ok(made.has(name), name);
        }
      }),
    );
  });
});

describe('hasOurPattern', () => {
  it('knows the names that this controller gives', () => {
    assert.equal(hasOurPattern(credentialNameOf(trust)), true);
    for (const name of ['aad-pod-identity-', 'aad-pod-identity-0123', 'x-aad-pod-identity-0123456789', 'aad-pod-identity-012345678g'])
      assert.equal(hasOurPattern(name), false, name);
  });
});
