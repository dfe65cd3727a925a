import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { federationRecordName } from '../../lib/identities/federation/record.ts';
import { isDetaching, leftInAzure } from './remaining.ts';

const group = '/subscriptions/s-1/resourceGroups/nodes/providers';
const identity = (name: string) => `${group}/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`.toLowerCase();
const scaleSet = `${group}/Microsoft.Compute/virtualMachineScaleSets/pool1`;

const scope = (id: string, names: string[], more: Record<string, string> = {}) => ({
  metadata: { name: 'record' },
  data: { scope: id, identities: JSON.stringify(Object.fromEntries(names.map((name) => [identity(name), { state: 'owned' }]))), ...more },
});

const federation = (name: string, more: Record<string, string> = {}) => ({
  metadata: { name: federationRecordName(identity(name)) },
  data: {
    identity: identity(name),
    ...Object.fromEntries(['clientId', 'tenantId', 'objectId', 'issuer', 'subject', 'audience'].map((key) => [key, key])),
    ...more,
  },
});
const credential = (name: string, owned: boolean) => ({
  credential: JSON.stringify({ name, owned, createdAt: '2026-01-01T00:00:00Z' }),
});

const nothing = { scopes: [], federations: [] };

describe('leftInAzure', () => {
  for (const [what, id, command] of [
    [
      'a scale set',
      scaleSet,
      /^az vmss identity remove --subscription s-1 --resource-group 'nodes' --name pool1 --identities \S+\/a \S+\/b$/,
    ],
    ['a VM', `${group}/Microsoft.Compute/virtualMachines/vm-1`, /^az vm identity remove .* --name vm-1 --identities/],
  ] as const)
    it(`names the identities of ${what} and the command that detaches them`, () => {
      const [left, ...others] = leftInAzure({ ...nothing, scopes: [scope(id, ['a', 'b'])] });
      assert.match(left?.command ?? '', command);
      assert.match(left?.what ?? '', /^attached to \S+: \S+\/a, \S+\/b$/);
      assert.deepEqual(others, []);
    });

  it('says that a person paused the scope', () => {
    assert.match(
      leftInAzure({ ...nothing, scopes: [scope(scaleSet, ['a'], { paused: 'true' })] })[0]?.what ?? '',
      /whose record says paused/,
    );
  });

  it('names the credentials that the controller made, former ones too, and no others', () => {
    const former = { former: JSON.stringify([{ name: 'old', unusedSince: '2026-01-01T00:00:00Z' }]) };
    const left = leftInAzure({
      ...nothing,
      federations: [federation('a', { ...credential('ours', true), ...former }), federation('b', credential('of-others', false))],
    });
    assert.deepEqual(
      left.map(({ command }) => /--name (\S+) --identity-name (\S+)/.exec(command)?.slice(1)),
      [
        ['ours', 'a'],
        ['old', 'a'],
      ],
    );
  });

  it('reports a record that it does not understand', () => {
    const [left] = leftInAzure({ ...nothing, scopes: [{ metadata: { name: 'odd' }, data: {} }] });
    assert.match(left?.what ?? '', /not understood: ConfigMap odd has no data\.scope/);
  });
});

describe('isDetaching', () => {
  for (const [what, records, expected] of [
    ['no record', nothing, false],
    ['an empty record', { ...nothing, scopes: [scope(scaleSet, [])] }, false],
    ['an identity', { ...nothing, scopes: [scope(scaleSet, ['a'])] }, true],
    ['an operation that goes on', { ...nothing, scopes: [scope(scaleSet, [], { operation: 'https://arm/operation' })] }, true],
    ['a credential of ours', { ...nothing, federations: [federation('a', credential('ours', true))] }, true],
    ['a credential of others', { ...nothing, federations: [federation('a', credential('theirs', false))] }, false],
  ] as const)
    it(`is ${expected} with ${what}`, () => assert.equal(isDetaching(records), expected));
});
