// Defects of aad-pod-identity that are not repeated: docs/reference/aad-pod-identity.md#defects-that-are-not-repeated. Others of that table are provoked
// in scenarios.test.ts.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { KubeError } from '../../../lib/kube/errors.ts';
import { azureAssignedIdentities, nodes, resourcePath } from '../../../lib/kube/resources.ts';
import { run } from '../../cluster/run.ts';
import { eventually } from '../../harness/wait.ts';
import { app, clientIds, idOf, pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { statusOf } from './harness/observations.ts';

let harness: Harness;
let started: Record<string, unknown>;
/** A mounted Secret, as a kubelet makes one. */
let folder: string;
const namesake = pool1.replace('/resourceGroups/Nodes/', '/resourceGroups/Other/');
const missingSet = pool1.replace('/Pool1', '/no-such-set');
const elsewhere = pool1.replace('/Pool1', '/Pool2');
const listed = 'aaaaaaaa-0000-4000-8000-000000000009';

before(async () => {
  harness = await startHarness({
    azure: {
      scaleSets: [
        { name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } },
        { name: 'Pool1', resourceGroup: 'Other', instances: 1 },
        { name: 'Pool2', instances: 1 },
      ],
      virtualMachines: [],
      imds: { vm: `${pool1}/virtualMachines/0` },
      identities: [...Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })), { name: 'listed', clientId: listed }],
    },
  });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createNode('node-1', `azure://${pool1}/virtualMachines/1`);
  await harness.createNode('node-namesake', `azure://${namesake}/virtualMachines/0`);
  await harness.createNode('node-missing', `azure://${missingSet}/virtualMachines/0`);
  await harness.createNode('node-elsewhere', `azure://${elsewhere}/virtualMachines/0`);
  await harness.createNode('node-garbled', 'azure:///subscriptions/garbled');
  for (const name of ['reader', 'writer', 'listed']) {
    await harness.createIdentity(name);
    await harness.createBinding(name, name, name);
  }
  for (const name of ['c', 'b-c']) await harness.createNamespace(name);
  folder = await mkdtemp(path.join(os.tmpdir(), 'defects-'));
  await symlink('..data/secret', path.join(folder, 'secret'));
  await mount('first', app.secret);
  const controller = await harness.startController([
    `--immutable-user-msis=${listed}`,
    '--identity-assignment-reconcile-interval=1',
    `--client-secret-file=${path.join(folder, 'secret')}`,
  ]);
  started = await controller.logged((record) => record.msg === 'started');
});
after(async () => {
  await harness?.stop();
  await rm(folder, { recursive: true });
});

/** Writes a new folder and swaps the link to it, as a kubelet does: no event reports a write to the file. */
async function mount(version: string, secret: string): Promise<void> {
  await mkdir(path.join(folder, version));
  await writeFile(path.join(folder, version, 'secret'), secret);
  await symlink(version, path.join(folder, '..data_tmp'));
  await rename(path.join(folder, '..data_tmp'), path.join(folder, '..data'));
}

const objectsOf = (pod: string, namespace: string) =>
  [...harness.assigned.values()].filter(({ spec }) => spec?.pod === pod && spec.podNamespace === namespace);
async function untilReleased(): Promise<void> {
  await harness.untilReleased();
  await harness.until(() => harness.attached(namesake).length === 0, 'nothing attached to the scale set of the same name');
}
/** Bodies of the PATCHes that a scale set got since then. */
const patchesOf = (scope: string, since: number) =>
  harness
    .armRequests(since)
    .filter(({ method, path }) => method === 'PATCH' && path.toLowerCase() === scope.toLowerCase())
    .map(({ body }) => JSON.stringify(body));

describe('the controller', () => {
  it('gives pods an object each when their objects would share a name', async () => {
    await Promise.all([
      harness.createPod('a-b', 'writer', { namespace: 'c' }),
      harness.createPod('a', 'writer', { namespace: 'b-c', node: 'node-namesake' }),
    ]);
    const [first, second] = [() => objectsOf('a-b', 'c'), () => objectsOf('a', 'b-c')];
    const both = () => [...first(), ...second()];
    await harness.until(() => both().length === 2 && both().every((one) => statusOf(one) === 'Assigned'), 'both Assigned');
    const plain = 'a-b-c-writer';
    assert.equal(both().filter(({ metadata }) => metadata.name === plain).length, 1, 'one has the name that upstream gives it');
    // The one that has the plain name goes: the other must not be taken for it.
    const [leaving, staying] = first()[0]?.metadata.name === plain ? [first, second] : [second, first];
    const uid = staying()[0]?.metadata.uid;
    if (leaving === first) await harness.deletePod('a-b', 'c');
    else await harness.deletePod('a', 'b-c');
    await harness.until(() => leaving().length === 0, 'one is gone');
    const [goneFrom, staysOn] = leaving === first ? [pool1, namesake] : [namesake, pool1];
    await harness.until(() => !harness.attached(goneFrom).includes('writer'), 'detached from the scale set without pods');
    assert.deepEqual(
      staying().map((one) => [one.metadata.uid, statusOf(one)]),
      [[uid, 'Assigned']],
    );
    assert.ok(harness.attached(staysOn).includes('writer'));
    if (leaving === first) await harness.deletePod('a', 'b-c');
    else await harness.deletePod('a-b', 'c');
    await untilReleased();
  });

  it('detaches for pods of a Node that is deleted before its scale set', async () => {
    for (const pod of ['lost', 'stays']) await harness.createPod(pod, 'writer', { node: pod === 'lost' ? 'node-1' : 'node-0' });
    await harness.createPod('lost-too', 'reader', { node: 'node-1' });
    await harness.untilAssigned('lost-default-writer', 'stays-default-writer', 'lost-too-default-reader');
    await harness.client.call('DELETE', resourcePath(nodes, { name: 'node-1' }));
    for (const pod of ['lost', 'lost-too']) await harness.deletePod(pod);
    await harness.until(() => harness.count() === 1, 'only the pod of the other node has an object');
    await harness.until(() => harness.attached().join() === 'third,writer', 'what only the lost pod used is detached');
    assert.equal(harness.status('stays-default-writer'), 'Assigned');
    await harness.deletePod('stays');
    await untilReleased();
  });

  it('detaches beside a Node whose provider id is malformed', async () => {
    await harness.createPod('good', 'writer');
    await harness.createPod('garbled', 'writer', { node: 'node-garbled' });
    await harness.untilAssigned('good-default-writer');
    await harness.until(() => harness.find('garbled-default-writer') !== undefined, 'the other has an object');
    await harness.deletePod('good');
    await harness.until(() => harness.attached().join() === 'third', 'detached while the other pod is still there');
    assert.equal(harness.status('garbled-default-writer'), 'Created');
    await harness.deletePod('garbled');
    await untilReleased();
  });

  it('deletes the object of an immutable identity while Azure fails', async () => {
    await harness.createPod('kept', 'listed', { node: 'node-elsewhere' });
    await harness.untilAssigned('kept-default-listed');
    const fault = harness.emulator.addFault({ fault: 'answer', service: 'arm', status: 500, body: 'down' });
    await harness.deletePod('kept');
    await harness.until(() => harness.find('kept-default-listed') === undefined, 'gone although Azure fails');
    harness.emulator.removeFaults(fault);
    await harness.createPod('next', 'writer', { node: 'node-elsewhere' });
    await harness.untilAssigned('next-default-writer');
    await harness.deletePod('next');
    await harness.until(() => harness.attached(elsewhere).join() === 'listed', 'the listed one stays');
    await untilReleased();
  });

  it('keeps an identity that is named twice, with client ids in different case', async () => {
    await harness.createIdentity('upper', { resourceID: idOf('writer'), clientID: clientIds.writer.toUpperCase() });
    await harness.createIdentity('lower', { resourceID: idOf('writer'), clientID: clientIds.writer });
    for (const name of ['upper', 'lower']) {
      await harness.createBinding(name, name, name);
      await harness.createPod(name, name);
    }
    await harness.untilAssigned('upper-default-upper', 'lower-default-lower');
    const since = harness.emulator.log.last;
    await harness.deletePod('upper');
    await harness.until(() => harness.find('upper-default-upper') === undefined, 'one is gone');
    await harness.createPod('later', 'reader');
    await harness.untilAssigned('later-default-reader');
    assert.deepEqual(
      patchesOf(pool1, since).filter((body) => body.includes('null')),
      [],
    );
    for (const pod of ['lower', 'later']) await harness.deletePod(pod);
    await untilReleased();
  });

  it('keeps scale sets of one name in two resource groups apart', async () => {
    const since = harness.emulator.log.last;
    await harness.createPod('here', 'reader');
    await harness.createPod('there', 'writer', { node: 'node-namesake' });
    await harness.untilAssigned('here-default-reader', 'there-default-writer');
    assert.deepEqual([harness.attached(), harness.attached(namesake)], [['reader', 'third'], ['writer']]);
    assert.deepEqual([patchesOf(pool1, since).length, patchesOf(namesake, since).length], [1, 1]);
    await harness.deletePod('there');
    await harness.until(() => harness.attached(namesake).length === 0, 'detached there');
    assert.deepEqual(harness.attached(), ['reader', 'third']);
    await harness.deletePod('here');
    await untilReleased();
  });

  it('repairs a scale set beside missing, throttled and forbidden ones', async () => {
    await harness.createPod('repaired', 'writer');
    await harness.createPod('throttled', 'writer', { node: 'node-namesake' });
    await harness.createPod('forbidden', 'writer', { node: 'node-elsewhere' });
    await harness.untilAssigned('repaired-default-writer', 'throttled-default-writer', 'forbidden-default-writer');
    await harness.createPod('missing', 'writer', { node: 'node-missing' });
    const faults = [
      harness.emulator.addFault({ fault: 'throttled', retryAfter: 1, resource: namesake, count: null }),
      harness.emulator.addFault({ fault: 'forbidden', resource: elsewhere }),
    ];
    const since = harness.emulator.log.last;
    const refused = (scope: string, status: number) =>
      harness.untilArmRequest((entry) => entry.path.toLowerCase() === scope.toLowerCase() && entry.status === status, since);
    await Promise.all([refused(namesake, 429), refused(elsewhere, 403), refused(missingSet, 404)]);
    await harness.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('writer')] });
    await harness.until(() => harness.attached().includes('writer'), 'attached again');
    for (const fault of faults) harness.emulator.removeFaults(fault);
    await harness.emulator.act({ do: 'wipe', resource: namesake, identities: [idOf('writer')] });
    await harness.until(() => harness.attached(namesake).includes('writer'), 'the throttled one too, when its time has come');
    for (const pod of ['repaired', 'throttled', 'forbidden', 'missing']) await harness.deletePod(pod);
    await untilReleased();
  });

  it('keeps what another writer attaches just before the last removal', async () => {
    await harness.createPod('last', 'writer', { node: 'node-namesake' });
    await harness.untilAssigned('last-default-writer');
    const since = harness.emulator.log.last;
    // Carried out when the PATCH arrives, after the GET that it was made from.
    const action = { do: 'attach', resource: namesake, identities: [idOf('reader')] };
    harness.emulator.addFault({ fault: 'write', method: 'PATCH', resource: namesake, action });
    await harness.deletePod('last');
    await harness.until(() => harness.attached(namesake).join() === 'reader', 'only theirs is left');
    const [raced, then] = patchesOf(namesake, since);
    assert.match(raced ?? '', /"None"/, 'the first would have removed all');
    assert.match(then ?? '', /"UserAssigned".*null/, 'the second removes ours alone');
    await harness.emulator.act({ do: 'wipe', resource: namesake, identities: null });
    await untilReleased();
  });

  it('uses a credential that a symbolic link swaps, without a restart', async () => {
    await harness.createPod('before', 'writer');
    await harness.untilAssigned('before-default-writer');
    await mount('second', 'rotated');
    harness.emulator.patchState({ apps: [{ clientId: app.clientId, secrets: ['rotated'] }] });
    harness.emulator.addFault({ fault: 'unauthorized' });
    await harness.createPod('rotated', 'reader');
    await harness.untilAssigned('rotated-default-reader');
    for (const pod of ['before', 'rotated']) await harness.deletePod(pod);
    await untilReleased();
  });

  it('writes Events that kubectl describe shows for a binding and a new object', async () => {
    const describe = async (kind: string, name: string) => {
      const { kubectl, kubeconfig } = harness.plane;
      const args = ['describe', kind, name, '--namespace=default'];
      return (await run(kubectl, args, { env: { KUBECONFIG: kubeconfig }, timeoutSeconds: 60 })).stdout;
    };
    await refuseAssigned('refused');
    await harness.createIdentity('described', { resourceID: idOf('writer') });
    await harness.createBinding('described', 'described', 'described');
    await harness.createPod('refused', 'described');
    await harness.createPod('shown', 'described');
    const object = 'refused-default-described';
    await eventually(
      async () =>
        /Warning +status update error .*failed to update AzureAssignedIdentity default\/refused-default-described status to Assigned/.test(
          await describe('azureassignedidentity', object),
        ),
      'the Event of the object',
    );
    await eventually(
      async () =>
        /Normal +binding applied .*Binding described applied on node node-0 for pod shown/.test(
          await describe('azureidentitybinding', 'described'),
        ),
      'the Event of the binding',
    );
    // Another pod does not wait for the object that cannot be written.
    await harness.createPod('beside', 'reader');
    await harness.untilAssigned('beside-default-reader');
    for (const pod of ['refused', 'shown', 'beside']) await harness.deletePod(pod);
    await untilReleased();
  });

  it('serves nothing but probes and metrics on their ports, such as profiles', async () => {
    const ask = async (port: unknown, route: string) => (await fetch(`http://127.0.0.1:${String(port)}${route}`)).status;
    assert.deepEqual([await ask(started.probes, '/healthz'), await ask(started.metrics, '/metrics')], [200, 200]);
    for (const port of [started.probes, started.metrics])
      for (const route of ['/debug/pprof/', '/debug/pprof/heap', '/debug/pprof/profile?seconds=1', '/debug/vars', '/'])
        assert.equal(await ask(port, route), 404, route);
  });
});

/** The API server refuses objects of this pod that are Assigned; resolves once the policy is in force. */
async function refuseAssigned(pod: string): Promise<void> {
  const group = '/apis/admissionregistration.k8s.io/v1';
  const metadata = { name: 'refuse-assigned' };
  const rule = {
    apiGroups: ['aadpodidentity.k8s.io'],
    apiVersions: ['v1'],
    operations: ['CREATE', 'UPDATE'],
    resources: ['azureassignedidentities'],
  };
  await harness.client.call('POST', `${group}/validatingadmissionpolicies`, {
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicy',
      metadata,
      spec: {
        matchConstraints: { resourceRules: [rule] },
        validations: [{ expression: `object.spec.pod != '${pod}' || object.status.status != 'Assigned'` }],
      },
    },
  });
  await harness.client.call('POST', `${group}/validatingadmissionpolicybindings`, {
    body: {
      apiVersion: 'admissionregistration.k8s.io/v1',
      kind: 'ValidatingAdmissionPolicyBinding',
      metadata,
      spec: { policyName: metadata.name, validationActions: ['Deny'] },
    },
  });
  const body = {
    apiVersion: 'aadpodidentity.k8s.io/v1',
    kind: 'AzureAssignedIdentity',
    metadata: { name: 'probe' },
    spec: { pod },
    status: { status: 'Assigned' },
  };
  await eventually(async () => {
    try {
      await harness.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), {
        body,
        query: { dryRun: 'All' },
      });
      return false;
    } catch (error) {
      return error instanceof KubeError && error.status === 422;
    }
  }, 'the policy in force');
}
