// The acceptance scenarios of aad-pod-identity that validate a token (docs/reference/aad-pod-identity.md), from end to end: the controller assigns, the
// broker sends the identities to the sidecar, the sidecar asks IMDS or, for federated identities, the broker. All run in both modes of assignment, but for
// those in `onlyAttached`. E04, E12 and E13 are in scenarios.test.ts.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { after, before, describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azureIdentities, azureIdentityBindings, pods, resourcePath } from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { alone, app, clientIds, idOf, pool1 } from '../azure/fixtures.ts';
import { errorOf } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService, SidecarOptions } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { FederationFlags } from './federation.ts';
import { federationFlags } from './federation.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf, statusOf } from './harness/observations.ts';
import type { Validator } from './validator.ts';
import { audiences, createValidator, refused } from './validator.ts';

type Mode = 'attach' | 'federate';

/** Why a scenario has no meaning for federated identities. */
const onlyAttached = {
  E14: 'its machine is not written to, so there is nothing to keep',
  E16: 'the immutable list is about what is detached, and nothing is',
  E17: 'nothing is attached; federation.test.ts deletes the credential instead',
};

let harness: Harness;
let broker: BrokerService;
let federation: FederationFlags;
let validator: Validator;
let imdsOfAlone: string;
const colours = ['red', 'green', 'blue', 'cyan', 'gold'];
const missing = ['bad-1', 'bad-2'];
const upperCaseListed = 'AAAAAAAA-0000-4000-8000-000000000009';

before(async () => {
  const identities = [
    ...Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })),
    ...colours.map((name) => ({ name })),
    { name: 'listed', clientId: upperCaseListed.toLowerCase() },
    { name: 'powerless' },
  ];
  const readers = identities.filter(({ name }) => name !== 'powerless').map(({ name }) => ({ principal: idOf(name), role: 'Reader' }));
  harness = await startHarness({ azure: { identities, roles: [{ principal: app.clientId, role: 'Owner' }, ...readers] } });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createNode('node-alone', `azure://${alone}`);
  await harness.createNamespace('conflict');
  imdsOfAlone = await harness.emulator.addImds('alone');
  broker = await serveBroker(harness);
  federation = await federationFlags(harness, broker);
  validator = createValidator(harness.emulator);
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

const validate: Validator['validate'] = (...args) => validator.validate(...args);
const assigned = (name: string) => harness.assigned.get(`default/${name}`);
const count = () => [...harness.assigned.values()].length;
const untilAssigned = (name: string) => harness.until(() => statusOf(assigned(name)) === 'Assigned', `${name} is Assigned`);
const cleared = () =>
  harness.until(() => count() === 0 && harness.attached().join() === 'third', 'no object, and only the foreign identity');
const remove = (resource: typeof pods, name: string, namespace = 'default') =>
  harness.client.call('DELETE', resourcePath(resource, { namespace, name }));
const change = (resource: typeof pods, name: string, body: Record<string, unknown>) =>
  harness.client.call('PATCH', resourcePath(resource, { namespace: 'default', name }), { contentType: mergePatch, body });

const applies = (scenario: keyof typeof onlyAttached, mode: Mode) => mode === 'attach' || !(scenario in onlyAttached);

async function startPod(
  test: TestContext,
  name: string,
  selector: string,
  { node = 'node-0', ...options }: SidecarOptions & { node?: string } = {},
): Promise<RunningProxy> {
  await harness.createPod(name, selector, { node, namespace: options.namespace ?? 'default' });
  return broker.startSidecar(test, name, options);
}

/** Tests of one mode, with a controller and a broker of their own. */
function scenariosOf(mode: Mode): void {
  const flags = {
    controller: [
      serviceFlag,
      `--assignment=${mode}`,
      `--immutable-user-msis=${upperCaseListed}`,
      '--identity-assignment-reconcile-interval=1',
    ],
    broker: [`--assignment=${mode}`],
  };
  const running: RunningProgram[] = [];
  let controller: RunningProgram;
  let replica: RunningProgram;
  const startController = async () => {
    const started = await harness.startController([...flags.controller, ...federation.controller]);
    running.push(started);
    return started;
  };
  const startReplica = async () => {
    const started = await broker.startReplica({ flags: [...flags.broker, ...federation.broker] });
    running.push(started);
    return started;
  };

  before(async () => {
    for (const name of [...colours, 'third', 'listed', 'powerless', ...missing]) {
      await harness.createIdentity(name, name === 'listed' ? { clientID: upperCaseListed } : {});
      await harness.createBinding(name, name, name);
    }
    controller = await startController();
    replica = await startReplica();
  });
  after(async () => {
    await Promise.all(running.map((program) => program.stop('SIGTERM')));
    for (const namespace of ['default', 'conflict'])
      for (const resource of [azureIdentities, azureIdentityBindings])
        await harness.client.call('DELETE', resourcePath(resource, { namespace }));
  });

  it('E03: gives a pod that asks at once its token when its identity is assigned', async (t) => {
    const sidecar = await startPod(t, 'e03', 'red');
    await validate(sidecar, 'red');
    assert.equal(statusOf(assigned('e03-default-red')), 'Assigned');
    assert.equal(harness.attached().includes('red'), mode === 'attach');
    await harness.deletePod('e03');
    await cleared();
  });

  for (const [id, what, resource] of [
    ['E05', 'identity', azureIdentities],
    ['E06', 'binding', azureIdentityBindings],
  ] as const) {
    it(`${id}: takes object and tokens from a running pod when its ${what} is deleted`, {
      timeout: 60_000,
    }, async (t) => {
      const name = id.toLowerCase();
      await harness.createIdentity(name, { resourceID: idOf('red') });
      await harness.createBinding(name, name, name);
      // A pod that has nothing is held up to here.
      const sidecar = await startPod(t, name, name, { flags: ['--request-deadline=2'] });
      await untilAssigned(`${name}-default-${name}`);
      await validate(sidecar, 'red');
      const logged = sidecar.log.length;
      await remove(resource, name);
      await cleared();
      await sidecar.logged((line) => line.identities === 'none' && sidecar.log.indexOf(line) >= logged);
      await refused(sidecar, validator.selectors('red'), 503, /^Identity not found: .* Bound to it: nothing/);
      await harness.deletePod(name);
    });
  }

  it('E07: gives a pod tokens of the new identity only, after a change in place', async (t) => {
    await harness.createIdentity('changing', { resourceID: idOf('reader'), clientID: clientIds.reader });
    await harness.createBinding('changing', 'changing', 'changing');
    const sidecar = await startPod(t, 'e07', 'changing');
    await validate(sidecar, 'reader');
    // The last one leaves the client id to Azure.
    for (const [name, clientID] of [
      ['writer', clientIds.writer],
      ['third', ''],
    ] as const) {
      await change(azureIdentities, 'changing', { spec: { resourceID: idOf(name), clientID } });
      await harness.until(() => annotationOf(assigned('e07-default-changing'), 'clientId') === clientIds[name], 'the new client id');
      await validate(sidecar, name);
      assert.equal(statusOf(assigned('e07-default-changing')), 'Assigned');
    }
    await refused(
      sidecar,
      [...validator.selectors('reader').slice(0, 2), ...validator.selectors('writer').slice(0, 2)],
      400,
      /^Identity not found: /,
    );
    await harness.deletePod('e07');
    await cleared();
  });

  it('E08: gives a pod the identity that it names, else that of the oldest binding', async (t) => {
    await harness.createBinding('e08-b', 'red', 'e08');
    // The age of a binding is known to the second.
    await delay(1_000);
    await harness.createBinding('e08-a', 'powerless', 'e08');
    const sidecar = await startPod(t, 'e08', 'e08');
    await validate(sidecar, 'red');
    const [byClientId = {}, byResourceId = {}] = validator.selectors('powerless');
    for (const selector of [byClientId, byResourceId]) {
      const reply = await validator.read(await validator.tokenFrom(sidecar, selector, 'powerless'));
      assert.equal(errorOf(reply).code, 'AuthorizationFailed', reply.text);
    }
    for (const resource of audiences) await validator.tokenFrom(sidecar, {}, 'red', resource);
    await harness.deletePod('e08');
    await cleared();
  });

  it('E09: releases an object for each deleted identity; other pods keep their tokens', async (t) => {
    const sidecars = new Map<string, RunningProxy>();
    for (const colour of colours) sidecars.set(colour, await startPod(t, `e09-${colour}`, colour));
    const allValidate = (resource?: string) => Promise.all([...sidecars].map(([colour, sidecar]) => validate(sidecar, colour, resource)));
    await allValidate();
    for (const [round, colour] of ['blue', 'red', 'gold', 'green', 'cyan'].entries()) {
      await remove(azureIdentities, colour);
      sidecars.delete(colour);
      await harness.until(() => count() === sidecars.size && !harness.attached().includes(colour), `${colour} is gone`);
      for (const other of sidecars.keys()) assert.equal(statusOf(assigned(`e09-${other}-default-${other}`)), 'Assigned');
      assert.deepEqual(harness.attached(), [...(mode === 'attach' ? sidecars.keys() : []), 'third'].sort());
      await allValidate(audiences[round + 1]);
    }
    for (const colour of colours) {
      await harness.deletePod(`e09-${colour}`);
      await harness.createIdentity(colour);
    }
  });

  it('E10: assigns 40 pods over 5 bindings with at most two writes', async (t) => {
    const before = harness.patches();
    const all = Array.from({ length: 40 }, (_, index) => ({ name: `e10-${index}`, colour: colours[index % 5] ?? 'red' }));
    await Promise.all(all.map(({ name, colour }) => harness.createPod(name, colour)));
    const isAssigned = ({ name, colour }: { name: string; colour: string }) =>
      statusOf(assigned(`${name}-default-${colour}`)) === 'Assigned';
    await harness.until(() => all.every(isAssigned), 'all Assigned');
    assert.ok(harness.patches() - before <= (mode === 'attach' ? 2 : 0), `${harness.patches() - before} PATCHes`);
    for (const { name, colour } of all) await validate(await broker.startSidecar(t, name), colour);
    await Promise.all(all.map(({ name }) => harness.deletePod(name)));
    await cleared();
  });

  it('E11: gives a running pod the identity of its new label, and takes the first', async (t) => {
    const sidecar = await startPod(t, 'e11', 'red');
    await validate(sidecar, 'red');
    await change(pods, 'e11', { metadata: { labels: { aadpodidbinding: 'green' } } });
    await untilAssigned('e11-default-green');
    await validate(sidecar, 'green');
    await refused(sidecar, validator.selectors('red').slice(0, 2), 400, /^Identity not found: .* Bound to it: default\/green /);
    await harness.until(() => count() === 1, 'the old object is gone');
    await harness.deletePod('e11');
    await cleared();
  });

  if (applies('E14', mode))
    it('E14: keeps the system-assigned identity of a machine, which never serves a pod', async (t) => {
      const system = () => harness.emulator.state().resources.get(alone.toLowerCase())?.identity.system;
      const before = system();
      assert.ok(before);
      await validate(await startPod(t, 'e14', 'red', { node: 'node-alone', imds: imdsOfAlone }), 'red');
      assert.deepEqual(system(), before);
      await harness.deletePod('e14');
      await harness.until(() => harness.attached(alone).length === 0, 'detached');
      assert.deepEqual(system(), before);
    });

  it('E15, E18: keeps a foreign identity attached after the pod that used it', async (t) => {
    const before = harness.patches();
    const sidecar = await startPod(t, 'e15', 'third');
    await validate(sidecar, 'third');
    assert.equal(annotationOf(assigned('e15-default-third'), 'clientId'), clientIds.third);
    await harness.deletePod('e15');
    await cleared();
    assert.equal(harness.patches(), before, 'nothing had to be written');
  });

  if (applies('E16', mode))
    it('E16: keeps an identity of the immutable list, in any case of its client id', async (t) => {
      await validate(await startPod(t, 'e16', 'listed', { node: 'node-alone', imds: imdsOfAlone }), 'listed');
      await harness.deletePod('e16');
      await harness.until(() => count() === 0, 'no object');
      // A later write must leave it there as well.
      await harness.createPod('e16-later', 'red', { node: 'node-alone' });
      await untilAssigned('e16-later-default-red');
      await harness.deletePod('e16-later');
      await harness.until(() => count() === 0 && harness.attached(alone).join() === 'listed', 'only the listed one is left');
    });

  if (applies('E17', mode))
    it('E17: attaches again what another writer detached, while a request waits', async (t) => {
      const sidecar = await startPod(t, 'e17', 'red');
      await validate(sidecar, 'red');
      await harness.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('red')] });
      assert.ok(!harness.attached().includes('red'));
      await validate(sidecar, 'red', audiences[1]);
      assert.ok(harness.attached().includes('red'));
      assert.equal(statusOf(assigned('e17-default-red')), 'Assigned');
      await harness.deletePod('e17');
      await cleared();
    });

  describe('beside identities that Azure does not have', () => {
    const saysWhy = async (sidecar: RunningProxy, name: string) => {
      // Whether it is named or not, the pod reads which object is to blame.
      const text = new RegExp(`^Identity not found: AzureIdentity default/${name} .* cannot be assigned: IdentityNotFound`);
      await refused(sidecar, [{}, { msi_res_id: idOf(name) }], 400, text);
      assert.equal(statusOf(assigned(`${name}-default-${name}`)), 'Created');
    };

    it('E19: serves the good one of three new pods, and gives the others the reason', async (t) => {
      const [good, ...others] = await Promise.all([startPod(t, 'e19', 'red'), ...missing.map((name) => startPod(t, name, name))]);
      await validate(good, 'red');
      await Promise.all(others.map((sidecar, index) => saysWhy(sidecar, missing[index] ?? '')));
      assert.equal(count(), 3);
      for (const pod of ['e19', ...missing]) await harness.deletePod(pod);
      await cleared();
    });

    it('E20: keeps serving a pod when pods with missing identities arrive', async (t) => {
      const good = await startPod(t, 'e20', 'red');
      await validate(good, 'red');
      for (const name of missing) await saysWhy(await startPod(t, name, name), name);
      await validate(good, 'red', audiences[1]);
      assert.equal(statusOf(assigned('e20-default-red')), 'Assigned');
      for (const pod of ['e20', ...missing]) await harness.deletePod(pod);
      await cleared();
    });
  });

  it('E26: keeps two identities of one name, the own namespace’s as the default', async (t) => {
    await harness.createIdentity('red', { resourceID: idOf('green') }, { namespace: 'conflict' });
    await harness.createBinding('red', 'red', 'red', 'conflict');
    const sidecar = await startPod(t, 'e26', 'red', { namespace: 'conflict' });
    await validate(sidecar, 'green');
    for (const selector of validator.selectors('red').slice(0, 2)) await validator.tokenFrom(sidecar, selector, 'red');
    const { azureIdentityRef, azureBindingRef } = assigned('e26-conflict-red')?.spec ?? {};
    assert.deepEqual([azureIdentityRef?.metadata.namespace, azureBindingRef?.metadata.namespace], ['conflict', 'conflict']);
    assert.equal(count(), 2);
    await harness.deletePod('e26', 'conflict');
    await remove(azureIdentityBindings, 'red', 'conflict');
    await cleared();
  });

  it('E25: assigns by the next leader what was created while leader and broker died', async (t) => {
    await startController();
    const before = await startPod(t, 'e25-before', 'red');
    await validate(before, 'red');
    await Promise.all([
      controller.stop('SIGKILL'),
      replica.stop('SIGKILL'),
      harness.createIdentity('e25', { resourceID: idOf('writer') }),
      harness.createBinding('e25', 'e25', 'e25'),
      harness.createPod('e25', 'e25'),
    ]);
    await validate(before, 'red');
    await startReplica();
    await validate(await broker.startSidecar(t, 'e25'), 'writer');
    assert.equal(statusOf(assigned('e25-default-e25')), 'Assigned');
    // Its broker is another replica now: a change arrives all the same.
    await change(pods, 'e25-before', { metadata: { labels: { aadpodidbinding: 'green' } } });
    await untilAssigned('e25-before-default-green');
    await validate(before, 'green');
    for (const pod of ['e25', 'e25-before']) await harness.deletePod(pod);
    await cleared();
  });
}

describe('acceptance scenarios with tokens of attached identities', () => scenariosOf('attach'));
describe('acceptance scenarios with tokens of federated identities', () => scenariosOf('federate'));
