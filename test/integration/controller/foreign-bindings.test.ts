// What an author of AzureIdentity and AzureIdentityBinding can do to pods of another namespace: give them more, and take nothing away. From end to
// end: the controller assigns, the broker sends the identities to the sidecar, the sidecar asks IMDS.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { AzureAssignedIdentity } from '../../../api/kinds.ts';
import { maxForeignMatches } from '../../../lib/identities/match.ts';
import { azureIdentities, azureIdentityBindings } from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { app, idOf, pool1 } from '../azure/fixtures.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { statusOf } from './harness/observations.ts';
import type { Validator } from './validator.ts';
import { audiences, createValidator, refused } from './validator.ts';

const names = ['red', 'green', 'blue'];
const unknownId = { client_id: 'dddddddd-0000-4000-8000-00000000000f' };

let harness: Harness;
let controller: RunningProgram;
let replica: RunningProgram;
let broker: BrokerService;
let validator: Validator;

before(async () => {
  const identities = [...names, 'third'].map((name) => ({ name }));
  const readers = names.map((name) => ({ principal: idOf(name), role: 'Reader' }));
  harness = await startHarness({ azure: { identities, roles: [{ principal: app.clientId, role: 'Owner' }, ...readers] } });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  for (const namespace of ['victim', 'author', 'shared']) await harness.createNamespace(namespace);
  broker = await serveBroker(harness);
  validator = createValidator(harness.emulator);
  controller = await harness.startController([serviceFlag]);
  replica = await broker.startReplica();
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

/** An AzureIdentity and a binding of the same name. */
async function bind(namespace: string, name: string, selector: string, spec: Record<string, unknown> = {}): Promise<void> {
  await harness.createIdentity(name, spec, { namespace });
  await harness.createBinding(name, name, selector, namespace);
}

async function unbind(namespace: string, name: string): Promise<void> {
  await harness.delete(azureIdentityBindings, name, namespace);
  await harness.delete(azureIdentities, name, namespace);
}

async function startPod(test: TestContext, name: string, selector: string): Promise<RunningProxy> {
  await harness.createPod(name, selector, { namespace: 'victim' });
  return broker.startSidecar(test, name, { namespace: 'victim', flags: ['--unknown-identity-timeout=1'] });
}

/** The object that gives this identity to the pod. */
const objectOf = (pod: string, identity: string): AzureAssignedIdentity | undefined =>
  [...harness.assigned.values()].find(({ spec }) => {
    const { namespace, name } = spec?.azureIdentityRef?.metadata ?? {};
    return spec?.pod === pod && `${namespace}/${name}` === identity;
  });
const untilAssigned = (pod: string, identity: string) =>
  harness.until(() => statusOf(objectOf(pod, identity)) === 'Assigned', `${identity} is assigned to ${pod}`);

/** By client id and by resource id. */
async function validateById(sidecar: RunningProxy, identity: string, resource?: string): Promise<void> {
  for (const selector of validator.selectors(identity).slice(0, 2)) await validator.tokenFrom(sidecar, selector, identity, resource);
}

describe('a binding of another namespace', () => {
  it('changes nothing for a running pod whose identity has the name of the own one', async (t) => {
    await bind('victim', 'red', 'web');
    const sidecar = await startPod(t, 'web', 'web');
    await validator.validate(sidecar, 'red');
    await refused(sidecar, [unknownId], 400, /^Identity not found: /);
    const before = objectOf('web', 'victim/red');
    const patches = harness.patches();

    await bind('author', 'red', 'web', { resourceID: idOf('green') });
    await untilAssigned('web', 'author/red');
    await sidecar.logged((line) => /author\/red Assigned/.test(String(line.identities)));
    assert.deepEqual(objectOf('web', 'victim/red'), before, 'the object is the same in every field');
    assert.equal(before?.metadata.name, 'web-victim-red');
    assert.deepEqual(harness.attached(), ['green', 'red', 'third']);
    assert.equal(harness.patches(), patches + 1, 'one PATCH, which adds');
    await validator.validate(sidecar, 'red', audiences[1]);
    await validateById(sidecar, 'green');
    await refused(sidecar, [unknownId], 400, /^Identity not found: /);

    await unbind('author', 'red');
    await harness.until(() => !harness.attached().includes('green'), 'the identity of the author is detached');
    assert.deepEqual(objectOf('web', 'victim/red'), before);
    await validator.validate(sidecar, 'red', audiences[2]);
    await harness.deletePod('web', 'victim');
    await unbind('victim', 'red');
    await harness.untilReleased();
  });

  it('yields name and default to an own identity that comes later, and stays attached', async (t) => {
    await bind('author', 'red', 'web', { resourceID: idOf('green') });
    const sidecar = await startPod(t, 'late', 'web');
    await validator.validate(sidecar, 'green');
    assert.equal(objectOf('late', 'author/red')?.metadata.name, 'late-victim-red');
    const since = harness.emulator.log.list().at(-1)?.seq;

    await bind('victim', 'red', 'web');
    await untilAssigned('late', 'victim/red');
    await untilAssigned('late', 'author/red');
    assert.equal(objectOf('late', 'victim/red')?.metadata.name, 'late-victim-red');
    assert.match(objectOf('late', 'author/red')?.metadata.name ?? '', /^late-victim-red-[0-9a-f]{10}$/);
    await validator.validate(sidecar, 'red', audiences[1]);
    await validateById(sidecar, 'green', audiences[1]);
    const writes = harness.armRequests(since).filter(({ method }) => method === 'PATCH');
    const isDetach = ({ body }: { body: unknown }) =>
      JSON.stringify(body)
        .toLowerCase()
        .includes(`${idOf('green')}":null`.toLowerCase());
    assert.deepEqual(writes.filter(isDetach), [], 'the foreign identity is never detached');

    await harness.deletePod('late', 'victim');
    for (const namespace of ['victim', 'author']) await unbind(namespace, 'red');
    await harness.untilReleased();
  });

  it('takes no identity away by claiming the ids of a shared one', async (t) => {
    await harness.createIdentity('claim', { resourceID: idOf('missing'), clientID: '' }, { namespace: 'author' });
    // Older than the shared binding, and made to select the pod later.
    await harness.createBinding('claim', 'claim', 'elsewhere', 'author');
    await delay(1_000);
    await bind('shared', 'blue', 'web');
    const sidecar = await startPod(t, 'claimed', 'web');
    await validator.validate(sidecar, 'blue');
    const [{ client_id: clientID } = {}] = validator.selectors('blue');
    await harness.patch(azureIdentities, 'claim', { spec: { clientID } }, 'author');
    await harness.patch(azureIdentityBindings, 'claim', { spec: { selector: 'web' } }, 'author');
    await harness.until(() => objectOf('claimed', 'author/claim') !== undefined, 'the claim has an object');
    await sidecar.logged((line) => /author\/claim /.test(String(line.identities)));
    await validateById(sidecar, 'blue', audiences[1]);
    assert.equal(statusOf(objectOf('claimed', 'shared/blue')), 'Assigned');
    await harness.deletePod('claimed', 'victim');
    await unbind('author', 'claim');
    await unbind('shared', 'blue');
    await harness.untilReleased();
  });

  it('gets an Event when its pod has all identities of other namespaces it may have', async () => {
    const last = `many-${maxForeignMatches}`;
    await bind('victim', 'red', 'web');
    for (let index = 0; index < maxForeignMatches; index += 1) await bind('author', `many-${index}`, 'web', { resourceID: idOf('green') });
    await harness.createPod('full', 'web', { namespace: 'victim' });
    await harness.until(() => harness.count() === 1 + maxForeignMatches, 'the objects of all matches');
    // Among bindings of one second the uid decides.
    await delay(1_000);
    await bind('author', last, 'web', { resourceID: idOf('green') });
    await harness.untilEvent('AzureIdentityBinding', last, /^ForeignBindingLimit: AzureIdentity author\/many-32 is not given to a pod/);
    assert.equal(harness.count(), 1 + maxForeignMatches);
    await untilAssigned('full', 'victim/red');
    await harness.deletePod('full', 'victim');
    for (let index = 0; index <= maxForeignMatches; index += 1) await unbind('author', `many-${index}`);
    await unbind('victim', 'red');
    await harness.untilReleased();
  });

  it('counts only if bindingNamespaces lists its namespace', async (t) => {
    await Promise.all([controller.stop(), replica.stop()]);
    const flag = '--binding-namespaces=shared';
    controller = await harness.startController([serviceFlag, flag]);
    replica = await broker.startReplica({ flags: [flag] });
    await bind('author', 'green', 'web');
    await bind('shared', 'blue', 'web');
    const sidecar = await startPod(t, 'listed', 'web');
    await validator.validate(sidecar, 'blue');
    await refused(sidecar, validator.selectors('green').slice(0, 2), 400, /^Identity not found: .* Bound to it: shared\/blue /);
    assert.equal(harness.count(), 1);
    assert.deepEqual(harness.attached(), ['blue', 'third']);
    await harness.deletePod('listed', 'victim');
    await unbind('author', 'green');
    await unbind('shared', 'blue');
    await harness.untilReleased();
  });
});
