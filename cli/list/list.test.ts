import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { annotations, injectedLabel } from '../../api/names.ts';
import { assignmentOf } from '../../lib/identities/assignment.ts';
import { bindingOf } from '../../lib/identities/binding.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import { podOf } from '../../lib/identities/pod.ts';
import { listIdentities } from './rows.ts';
import { findIdentities, whoCanGet } from './who.ts';

const identityId = '/subscriptions/s/resourceGroups/g/providers/Microsoft.ManagedIdentity/userAssignedIdentities/demo';
const clientId = 'aaaaaaaa-0000-4000-8000-000000000001';
const scaleSet = '/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachineScaleSets/pool';
const now = new Date('2026-06-01T00:00:00Z');

function parsed<T>(value: T | undefined): T {
  assert.ok(value !== undefined);
  return value;
}

const podNamed = (name: string, selector: string) => ({
  metadata: { name, namespace: 'team', uid: name, labels: { aadpodidbinding: selector } },
  spec: { nodeName: 'node-0' },
});
const identity = parsed(
  identityOf({ metadata: { name: 'demo', namespace: 'team' }, spec: { resourceID: identityId, clientID: clientId } }),
);
const limited = parsed(
  identityOf({ metadata: { name: 'limited', namespace: 'other', annotations: { [annotations.behavior]: 'namespaced' } }, spec: {} }),
);
const binding = (name: string, selector: string, azureIdentity: string, namespace = 'team') =>
  parsed(bindingOf({ metadata: { name, namespace }, spec: { selector, azureIdentity } }));
const assignment = (changes: Record<string, string> = {}) =>
  parsed(
    assignmentOf({
      metadata: { name: 'web-team-demo', namespace: 'default', annotations: { [annotations.scope]: scaleSet, ...changes } },
      spec: { pod: 'web', podNamespace: 'team', azureIdentityRef: { metadata: { name: 'demo', namespace: 'team' } } },
      status: { status: 'Assigned' },
    }),
  );

const rowsFor = (selector: string) =>
  listIdentities({
    pods: [parsed(podOf(podNamed('web', selector)))],
    bindings: [
      binding('demo', 'app', 'demo'),
      binding('half', 'half', 'demo'),
      binding('typo', 'half', 'dmeo'),
      binding('wrong', 'wrong', 'dmeo'),
      binding('far', 'far', 'limited', 'other'),
    ],
    identities: [identity, limited],
    assignments: [assignment()],
    rules: { forceNamespaced: false, bindingNamespaces: [] },
    now,
  });

describe('listIdentities', () => {
  for (const [selector, expected] of [
    ['app', ['team/demo Assigned ']],
    ['nothing', [' None BindingMissing']],
    ['wrong', ['team/dmeo None IdentityMissing']],
    ['half', ['team/demo Assigned ', 'team/dmeo None IdentityMissing']],
    ['far', [' None BindingElsewhere']],
  ] as const)
    it(`lists ${JSON.stringify(expected)} for the selector ${selector}`, () =>
      assert.deepEqual(
        rowsFor(selector).map((row) => `${row.identity} ${row.state} ${row.reason}`),
        expected,
      ));
});

describe('findIdentities', () => {
  for (const wanted of [
    'demo',
    'team/demo',
    clientId.toUpperCase(),
    identityId.toUpperCase().replace('/SUBSCRIPTIONS/', '/subscriptions/'),
  ])
    it(`finds an identity by ${wanted}`, () => assert.deepEqual(findIdentities([identity, limited], [], wanted), [identity]));

  it('finds an identity by a client id that only Azure told', () =>
    assert.deepEqual(findIdentities([identity], [assignment({ [annotations.clientId]: 'b' })], 'b'), [identity]));

  it('finds nothing by an empty client id', () => assert.deepEqual(findIdentities([identity, limited], [], ''), []));
});

describe('whoCanGet', () => {
  const nodes = [0, 1].map((index) => ({
    metadata: { name: `node-${index}` },
    spec: { providerID: `azure://${scaleSet}/virtualMachines/${index}` },
  }));
  const elsewhere = { metadata: { name: 'node-x' }, spec: { providerID: `azure://${scaleSet}x/virtualMachines/0` } };
  const on = (name: string, nodeName: string, marker?: string) => ({
    metadata: { name, namespace: 'team', labels: marker === undefined ? {} : { [injectedLabel]: marker } },
    spec: { nodeName },
  });
  const pods = [on('web', 'node-0', 'redirect'), on('guarded', 'node-1', 'guard'), on('free', 'node-1'), on('far', 'node-x')];

  it('names the unguarded pods of every node of the scale set', () => {
    const who = whoCanGet({ identities: [identity], rows: rowsFor('app'), pods, nodes: [...nodes, elsewhere] });
    assert.deepEqual(who.nodes, ['node-0', 'node-1']);
    assert.deepEqual(who.unguarded, ['team/free']);
    assert.deepEqual(
      who.byBinding.map(({ pod, binding: by }) => `${pod} by ${by}`),
      ['web by team/demo'],
    );
  });

  it('names no node for a federated identity', () => {
    const rows = rowsFor('app').map((row) => ({ ...row, scope: identityId }));
    assert.deepEqual(whoCanGet({ identities: [identity], rows, pods, nodes }).nodes, []);
  });
});
