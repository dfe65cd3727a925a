import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { identityIdOf, identityIdsIn, isAzureArea, isInside, redactIdentities, scopeOfId, scopeOfProviderId } from './resource-ids.ts';

const subscription = '0a1b2c3d-0000-4000-8000-00000000000f';

const subscriptions = fc.uuid();
const resourceGroups = fc.stringMatching(/^[A-Za-z0-9_().-]{0,20}[A-Za-z0-9_()-]$/);
const names = fc.stringMatching(/^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,20}[A-Za-z0-9_-])?$/);
/** The same text with the case of every letter thrown anew. */
const anyCase = (text: string) =>
  fc
    .infiniteStream(fc.boolean())
    .map((upper) => [...text].map((letter) => (upper.next().value ? letter.toUpperCase() : letter.toLowerCase())).join(''));

test('takes the set as scope of a Uniform instance, the VM as scope of a VM', () => {
  const root = `azure:///subscriptions/${subscription}/resourceGroups/MC_rg.(1)/providers/Microsoft.Compute`;
  assert.deepEqual(scopeOfProviderId(`${root}/virtualMachineScaleSets/aks-Pool-vmss/virtualMachines/150`), {
    kind: 'scaleSet',
    subscription,
    resourceGroup: 'MC_rg.(1)',
    name: 'aks-Pool-vmss',
    id: `/subscriptions/${subscription}/resourcegroups/mc_rg.(1)/providers/microsoft.compute/virtualmachinescalesets/aks-pool-vmss`,
    displayId: `/subscriptions/${subscription}/resourceGroups/MC_rg.(1)/providers/Microsoft.Compute/virtualMachineScaleSets/aks-Pool-vmss`,
  });
  const machine = scopeOfProviderId(`${root}/virtualMachines/Node-1`);
  assert.ok(typeof machine === 'object');
  assert.equal(machine.kind, 'virtualMachine');
  assert.equal(machine.name, 'Node-1');
});

test('maps every spelling of a provider id to one scope', () => {
  const provider = fc
    .tuple(subscriptions, resourceGroups, names, fc.option(fc.nat(), { nil: undefined }))
    .map(([subscription, group, name, instance]) =>
      instance === undefined
        ? `azure:///subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachines/${name}`
        : `azure:///subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachineScaleSets/${name}/virtualMachines/${instance}`,
    );
  fc.assert(
    fc.property(
      provider.chain((text) => fc.tuple(fc.constant(text), anyCase(text))),
      ([original, spelled]) => {
        const first = scopeOfProviderId(original);
        const second = scopeOfProviderId(spelled);
        assert.ok(typeof first === 'object' && typeof second === 'object');
        assert.equal(second.id, first.id);
        assert.equal(second.kind, first.kind);
        assert.equal(first.displayId.toLowerCase(), first.id);
        // The id read back is the same scope: scope records are found by it after the node is gone.
        assert.equal(scopeOfId(first.id)?.id, first.id);
      },
    ),
  );
});

test('takes sets of one name in two resource groups as two scopes', () => {
  const at = (group: string) =>
    scopeOfId(`/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.Compute/virtualMachineScaleSets/pool`);
  assert.notEqual(at('a')?.id, at('b')?.id);
});

test('returns pending without an id, unsupported for a machine outside Azure', () => {
  assert.equal(scopeOfProviderId(''), 'pending');
  assert.equal(scopeOfProviderId('  '), 'pending');
  const root = `azure:///subscriptions/${subscription}/resourceGroups/rg/providers/Microsoft.Compute`;
  for (const other of [
    'aws:///eu-west-1a/i-0123',
    'kind://docker/kind/node',
    'azure://',
    root,
    `${root}/disks/d`,
    `${root}/virtualMachines/..`,
    `${root}/virtualMachines/a?x=1`,
    `${root}/virtualMachines/a/extensions/b`,
    `azure:///subscriptions/${subscription}/resourceGroups/../providers/Microsoft.Compute/virtualMachines/a`,
    `prefix ${root}/virtualMachines/a`,
  ])
    assert.equal(scopeOfProviderId(other), 'unsupported', other);
});

test('parses any text without throwing or a separator in a name', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.string().map((text) => `azure:///subscriptions/s/resourceGroups/${text}`),
      ),
      (text) => {
        const scope = scopeOfProviderId(text);
        if (typeof scope === 'object') assert.doesNotMatch(scope.resourceGroup + scope.name, /[/?#%\s]/);
      },
    ),
  );
});

test('lower-cases an identity id, and refuses a text that holds more than an id', () => {
  const good = `/subscriptions/${subscription}/resourcegroups/My.(rg)/providers/Microsoft.ManagedIdentity/userAssignedIdentities/App_id-1`;
  assert.equal(identityIdOf(good), good.toLowerCase());
  assert.equal(identityIdOf(` ${good.toUpperCase()}\n`), good.toLowerCase());
  for (const bad of [
    '',
    'app',
    `x${good}`,
    `${good}/`,
    `${good}/x`,
    `${good}'`,
    good.replace('My.(rg)', 'a/b'),
    good.replace('ManagedIdentity', 'Compute'),
  ])
    assert.equal(identityIdOf(bad), undefined, bad);
});

test('a subscription or a resource group is an area; more or less of an id is none', () => {
  for (const area of ['/subscriptions/a-b', '/SUBSCRIPTIONS/a/resourcegroups/My.(rg)']) assert.equal(isAzureArea(area), true, area);
  for (const other of [
    '',
    '/',
    '/subscriptions',
    '/subscriptions/',
    '/subscriptions/a/',
    '/subscriptions/*',
    '/subscriptions/a/resourceGroups',
    '/subscriptions/a/resourceGroups/..',
    '/subscriptions/a/resourceGroups/g/providers/Microsoft.Compute',
    '/sub\u017fcriptions/a',
    ' /subscriptions/a',
  ])
    assert.equal(isAzureArea(other), false, other);
});

test('a scope is inside its whole subscription and group only, in any case', () => {
  const scope = scopeOfId('/subscriptions/Sub-1/resourceGroups/Nodes/providers/Microsoft.Compute/virtualMachineScaleSets/pool');
  assert.ok(scope);
  for (const area of ['/subscriptions/sub-1', '/Subscriptions/SUB-1/resourceGroups/nodes'])
    assert.equal(isInside(scope, ['/subscriptions/other', area]), true, area);
  for (const area of ['/subscriptions/sub', '/subscriptions/sub-1/resourceGroups/node', '/subscriptions/sub-1/resourceGroups/other'])
    assert.equal(isInside(scope, [area]), false, area);
  assert.equal(isInside(scope, []), false);
});

// With the flags `iu` these two pass for `s` and `k`, and such an id hides from whoever compares or searches texts.
for (const [name, letter] of [
  ['U+017F', '\u017f'],
  ['the Kelvin sign', '\u212a'],
] as const)
  test(`no id with ${name} is one, neither in an object nor in a text`, () => {
    const id = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/desk';
    const scope = '/subscriptions/s/resourceGroups/k/providers/Microsoft.Compute/virtualMachineScaleSets/desk';
    const forged = (text: string) => text.replaceAll(letter === '\u017f' ? 's' : 'k', letter);
    assert.equal(identityIdOf(id), id.toLowerCase());
    assert.equal(identityIdOf(forged(id)), undefined);
    assert.ok(scopeOfId(scope));
    assert.equal(scopeOfId(forged(scope)), undefined);
    assert.ok(!identityIdsIn(`'${forged(id)}'`).includes(id.toLowerCase()));
  });

test('a text keeps the own identities and loses those of others', () => {
  const id = (name: string) => `/subscriptions/S/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`;
  const own = id('mine').toLowerCase();
  const text = `'${id('mine')}' and '${id('theirs').replaceAll('/', '\\/')}' were not found`;
  assert.equal(
    redactIdentities(text, (each) => each === own),
    `'${id('mine')}' and '<another identity>' were not found`,
  );
});
