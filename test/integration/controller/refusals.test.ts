// What Azure refuses until a person acts: each refusal has its own reason on object, binding and pod, says what to do, blames no identity that is
// innocent, and costs one PATCH.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { group, idOf } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

let harness: Harness;
let controller: RunningProgram;
const scopeOf = (name: string) => `${group}/Microsoft.Compute/virtualMachineScaleSets/${name}`;
const subnet = `${group}/Microsoft.Network/virtualNetworks/v/subnets/n`;

const cases: [scaleSet: string, fault: Record<string, unknown>, reason: string, message: RegExp][] = [
  ['locked', { fault: 'scope-locked' }, 'ScopeLocked', /^a lock forbids changes .*: remove the lock/],
  ['disabled', { fault: 'subscription-disabled' }, 'ScopeLocked', /^the subscription is disabled/],
  ['immutable', { fault: 'property-change' }, 'ScopeLocked', /'platformFaultDomainCount' is not allowed/],
  ['quota', { fault: 'quota-exceeded' }, 'QuotaExceeded', /^a quota of the subscription is used up/],
  ['policy', { fault: 'policy-denied' }, 'PolicyDenied', /^an Azure Policy forbids changes/],
  [
    'linked',
    { fault: 'linked-forbidden', linkedScope: subnet },
    'MissingRole',
    new RegExp(`with the action Microsoft\\.Network/.*/join/action on ${subnet}`),
  ],
  ['reference', { fault: 'reference-missing' }, 'AzureError', /^something that .* refers to does not exist, and no identity is to blame/],
  ['ghost', { fault: 'ghost', attached: idOf('third') }, 'ForeignIdentityBroken', /detach it from the scale set/],
];

before(async () => {
  harness = await startHarness({
    azure: {
      scaleSets: [...cases.map(([name]) => name), 'judged', 'deleted'].map((name) => ({
        name,
        instances: 1,
        ...(name === 'ghost' ? { identity: { type: 'UserAssigned', ids: ['third'] } } : {}),
      })),
      virtualMachines: [],
      imds: { vm: 'locked/0' },
    },
  });
  for (const name of [...cases.map(([scaleSet]) => scaleSet), 'judged', 'deleted'])
    await harness.createNode(`node-${name}`, `azure://${scopeOf(name)}/virtualMachines/0`);
  for (const name of ['writer', 'reader', 'third']) await harness.createIdentity(name);
  await harness.createBinding('writer', 'writer', 'writer');
  controller = await harness.startController();
});
after(() => harness?.stop());

const patchesOf = (scaleSet: string, since: number) =>
  harness.armRequests(since).filter(({ method, path }) => method === 'PATCH' && path.toLowerCase() === scopeOf(scaleSet).toLowerCase())
    .length;

describe('a refusal of Azure that lasts', () => {
  for (const [scaleSet, fault, reason, message] of cases)
    it(`reports ${reason} for ${String(fault.fault)} and sends one PATCH`, async () => {
      const since = harness.emulator.log.last;
      const added = harness.emulator.addFault({ ...fault, resource: scopeOf(scaleSet) });
      const name = `${scaleSet}-default-writer`;
      // A binding has room for few Events, so each case has its own.
      await harness.createBinding(scaleSet, 'writer', scaleSet);
      await harness.createPod(scaleSet, scaleSet, { node: `node-${scaleSet}` });
      await harness.untilReason(name, reason);
      assert.match(annotationOf(harness.find(name), 'message') ?? '', message);
      assert.equal(harness.status(name), 'Created');
      await harness.untilEvent('Pod', scaleSet, new RegExp(`^${reason}: `));
      await harness.untilEvent('AzureIdentityBinding', scaleSet, new RegExp(`^binding apply error: .* for pod default/${scaleSet}, `));
      const line = await controller.logged((record) => record.msg === 'scope not written' && record.scope === scopeOf(scaleSet));
      assert.deepEqual(line.culprits, [], 'no identity is to blame');
      assert.ok(Number(line.retryMs) >= 60_000);
      // A later pod of the scale set gets the reason without a call.
      await harness.createPod(`${scaleSet}-later`, scaleSet, { node: `node-${scaleSet}` });
      await harness.untilReason(`${scaleSet}-later-default-writer`, reason);
      assert.equal(patchesOf(scaleSet, since), 1);
      harness.emulator.removeFaults(added);
      for (const pod of [scaleSet, `${scaleSet}-later`]) await harness.deletePod(pod);
      await harness.until(() => harness.count() === 0, 'no object');
    });

  it('quarantines no identity', async () => {
    const items = at(await harness.client.call('GET', '/apis/events.k8s.io/v1/events'), 'items');
    const reasons = (Array.isArray(items) ? items : []).map((item: unknown) => stringAt(item, 'reason'));
    assert.ok(reasons.includes('ScopeLocked') && !reasons.includes('Quarantined'), reasons.join());
  });
});

describe('an identity that was deleted while it was attached', () => {
  it('is detached and holds up no other identity of the scale set', async () => {
    await harness.createBinding('reader', 'reader', 'reader');
    await harness.createPod('before', 'reader', { node: 'node-deleted' });
    await harness.untilAssigned('before-default-reader');
    harness.emulator.addFault({ fault: 'ghost', attached: idOf('reader'), resource: scopeOf('deleted') });
    harness.emulator.addFault({ fault: 'missing-identity', identity: idOf('reader'), resource: scopeOf('deleted') });
    await harness.createPod('other', 'writer', { node: 'node-deleted' });
    await harness.untilAssigned('other-default-writer');
    await harness.untilReason('before-default-reader', 'IdentityNotFound');
    assert.deepEqual(harness.attached(scopeOf('deleted')), ['writer']);
    for (const pod of ['before', 'other']) await harness.deletePod(pod);
    await harness.until(() => harness.count() === 0, 'no object');
  });
});

describe('a policy that forbids one identity', () => {
  it('is searched, and the other identity of the pod is attached', async () => {
    harness.emulator.addFault({ fault: 'policy-denied', evaluates: 'identity.userAssignedIdentities', identity: idOf('reader') });
    for (const name of ['writer', 'reader']) await harness.createBinding(`judged-${name}`, name, 'judged');
    await harness.createPod('judged', 'judged', { node: 'node-judged' });
    await harness.untilAssigned('judged-default-writer');
    await harness.untilReason('judged-default-reader', 'PolicyDenied');
    assert.match(annotationOf(harness.find('judged-default-reader'), 'message') ?? '', /forbids this identity/);
    await harness.deletePod('judged');
    await harness.until(() => harness.count() === 0, 'no object');
  });
});
