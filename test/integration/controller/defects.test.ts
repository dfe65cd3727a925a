// Defects of aad-pod-identity that are marked [BUG] in spec/aad-pod-identity.md 1 and 2: each is provoked here and must not be ours. Those that the
// acceptance scenarios provoke anyway are in scenarios.test.ts and endings.test.ts, under titles that name them in the same way.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { KubeError } from '../../../lib/kube/errors.ts';
import { azureAssignedIdentities, nodes, resourcePath } from '../../../lib/kube/resources.ts';
import { run } from '../../cluster/run.ts';
import { app, clientIds, idOf, pool1 } from '../azure/support.ts';
import type { Stage } from './stage.ts';
import { eventually, setStage, statusOf } from './stage.ts';

let stage: Stage;
let started: Record<string, unknown>;
/** A mounted Secret, as a kubelet makes one. */
let folder: string;
const namesake = pool1.replace('/resourceGroups/Nodes/', '/resourceGroups/Other/');
const missingSet = pool1.replace('/Pool1', '/no-such-set');
const elsewhere = pool1.replace('/Pool1', '/Pool2');
const listed = 'aaaaaaaa-0000-4000-8000-000000000009';

before(async () => {
  stage = await setStage({
    scaleSets: [
      { name: 'Pool1', instances: 2, identity: { type: 'UserAssigned', ids: ['third'] } },
      { name: 'Pool1', resourceGroup: 'Other', instances: 1 },
      { name: 'Pool2', instances: 1 },
    ],
    virtualMachines: [],
    imds: { vm: `${pool1}/virtualMachines/0` },
    identities: [...Object.entries(clientIds).map(([name, clientId]) => ({ name, clientId })), { name: 'listed', clientId: listed }],
  });
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await stage.makeNode('node-1', `azure://${pool1}/virtualMachines/1`);
  await stage.makeNode('node-namesake', `azure://${namesake}/virtualMachines/0`);
  await stage.makeNode('node-missing', `azure://${missingSet}/virtualMachines/0`);
  await stage.makeNode('node-elsewhere', `azure://${elsewhere}/virtualMachines/0`);
  await stage.makeNode('node-garbled', 'azure:///subscriptions/garbled');
  for (const name of ['reader', 'writer', 'listed']) {
    await stage.makeIdentity(name);
    await stage.makeBinding(name, name, name);
  }
  for (const name of ['c', 'b-c'])
    await stage.client.call('POST', '/api/v1/namespaces', { body: { apiVersion: 'v1', kind: 'Namespace', metadata: { name } } });
  folder = await mkdtemp(path.join(os.tmpdir(), 'defects-'));
  await symlink('..data/secret', path.join(folder, 'secret'));
  await mount('first', app.secret);
  const controller = await stage.startController([
    `--immutable-user-msis=${listed}`,
    '--identity-assignment-reconcile-interval=1',
    `--client-secret-file=${path.join(folder, 'secret')}`,
  ]);
  started = await controller.logs((record) => record.msg === 'started');
});
after(async () => {
  await stage?.stop();
  await rm(folder, { recursive: true });
});

/** Writes a new folder and swaps the link to it at once, which nobody sees as a write to the file. */
async function mount(version: string, secret: string): Promise<void> {
  await mkdir(path.join(folder, version));
  await writeFile(path.join(folder, version, 'secret'), secret);
  await symlink(version, path.join(folder, '..data_tmp'));
  await rename(path.join(folder, '..data_tmp'), path.join(folder, '..data'));
}

const assigned = (name: string) => stage.assigned.get(`default/${name}`);
const isAssigned = (name: string) => () => statusOf(assigned(name)) === 'Assigned';
const objectsOf = (pod: string, namespace: string) =>
  [...stage.assigned.values()].filter(({ spec }) => spec?.pod === pod && spec.podNamespace === namespace);
const cleared = () =>
  stage.until(
    () => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third' && stage.attached(namesake).length === 0,
    'no object, and only the foreign identity',
  );
/** Bodies of the PATCHes that a scale set got since then. */
const patchesOf = (scope: string, since: number) =>
  stage.emulator.log
    .list(since)
    .flatMap((entry) =>
      entry.kind === 'request' && entry.method === 'PATCH' && entry.path.toLowerCase() === scope.toLowerCase()
        ? [JSON.stringify(entry.body)]
        : [],
    );

describe('defects of aad-pod-identity', () => {
  it('pods whose objects would share a name get one each, and each its own end (spec 1.4)', async () => {
    await Promise.all([
      stage.makePod('a-b', 'writer', { namespace: 'c' }),
      stage.makePod('a', 'writer', { namespace: 'b-c', node: 'node-namesake' }),
    ]);
    const [first, second] = [() => objectsOf('a-b', 'c'), () => objectsOf('a', 'b-c')];
    const both = () => [...first(), ...second()];
    await stage.until(() => both().length === 2 && both().every((one) => statusOf(one) === 'Assigned'), 'both Assigned');
    const plain = 'a-b-c-writer';
    assert.equal(both().filter(({ metadata }) => metadata.name === plain).length, 1, 'one has the name that upstream gives it');
    // The one that has the plain name goes: the other must not be taken for it.
    const [leaving, staying] = first()[0]?.metadata.name === plain ? [first, second] : [second, first];
    const uid = staying()[0]?.metadata.uid;
    if (leaving === first) await stage.removePod('a-b', 'c');
    else await stage.removePod('a', 'b-c');
    await stage.until(() => leaving().length === 0, 'one is gone');
    const [goneFrom, staysOn] = leaving === first ? [pool1, namesake] : [namesake, pool1];
    await stage.until(() => !stage.attached(goneFrom).includes('writer'), 'detached where nobody is left');
    assert.deepEqual(
      staying().map((one) => [one.metadata.uid, statusOf(one)]),
      [[uid, 'Assigned']],
    );
    assert.ok(stage.attached(staysOn).includes('writer'));
    if (leaving === first) await stage.removePod('a', 'b-c');
    else await stage.removePod('a-b', 'c');
    await cleared();
  });

  it('a node object that goes before its scale set leaves no identity behind that nobody else uses (P41; spec 1.9, defect 3)', async () => {
    for (const pod of ['lost', 'stays']) await stage.makePod(pod, 'writer', { node: pod === 'lost' ? 'node-1' : 'node-0' });
    await stage.makePod('lost-too', 'reader', { node: 'node-1' });
    await stage.until(
      () => ['lost-default-writer', 'stays-default-writer', 'lost-too-default-reader'].every((name) => isAssigned(name)()),
      'Assigned',
    );
    await stage.client.call('DELETE', resourcePath(nodes, { name: 'node-1' }));
    for (const pod of ['lost', 'lost-too']) await stage.removePod(pod);
    await stage.until(() => [...stage.assigned.values()].length === 1, 'only the pod of the other node has an object');
    await stage.until(() => stage.attached().join() === 'third,writer', 'what only the lost pod used is detached');
    assert.ok(isAssigned('stays-default-writer')());
    await stage.removePod('stays');
    await cleared();
  });

  it('a node that cannot be understood keeps nothing from being detached (spec 1.9, defect 5)', async () => {
    await stage.makePod('good', 'writer');
    await stage.makePod('garbled', 'writer', { node: 'node-garbled' });
    await stage.until(isAssigned('good-default-writer'), 'Assigned');
    await stage.until(() => assigned('garbled-default-writer') !== undefined, 'the other has an object');
    await stage.removePod('good');
    await stage.until(() => stage.attached().join() === 'third', 'detached while the other pod is still there');
    assert.equal(statusOf(assigned('garbled-default-writer')), 'Created');
    await stage.removePod('garbled');
    await cleared();
  });

  it('a listed identity that is still attached keeps no object while Azure fails (spec 1.9, defect 6)', async () => {
    await stage.makePod('kept', 'listed', { node: 'node-elsewhere' });
    await stage.until(isAssigned('kept-default-listed'), 'Assigned');
    const fault = stage.emulator.addFault({ fault: 'answer', service: 'arm', status: 500, body: 'down' });
    await stage.removePod('kept');
    await stage.until(() => assigned('kept-default-listed') === undefined, 'gone although Azure fails');
    stage.emulator.removeFaults(fault);
    await stage.makePod('next', 'writer', { node: 'node-elsewhere' });
    await stage.until(isAssigned('next-default-writer'), 'a later write is done');
    await stage.removePod('next');
    await stage.until(() => stage.attached(elsewhere).join() === 'listed', 'the listed one stays');
    await cleared();
  });

  it('equal resource ids protect each other however their client ids are spelled (spec 2.6)', async () => {
    await stage.makeIdentity('upper', { resourceID: idOf('writer'), clientID: clientIds.writer.toUpperCase() });
    await stage.makeIdentity('lower', { resourceID: idOf('writer'), clientID: clientIds.writer });
    for (const name of ['upper', 'lower']) {
      await stage.makeBinding(name, name, name);
      await stage.makePod(name, name);
    }
    await stage.until(() => isAssigned('upper-default-upper')() && isAssigned('lower-default-lower')(), 'both Assigned');
    const since = stage.emulator.log.last;
    await stage.removePod('upper');
    await stage.until(() => assigned('upper-default-upper') === undefined, 'one is gone');
    await stage.makePod('later', 'reader');
    await stage.until(isAssigned('later-default-reader'), 'a later write is done');
    assert.deepEqual(
      patchesOf(pool1, since).filter((body) => body.includes('null')),
      [],
    );
    for (const pod of ['lower', 'later']) await stage.removePod(pod);
    await cleared();
  });

  it('scale sets of one name in two resource groups are two (spec 2.8)', async () => {
    const since = stage.emulator.log.last;
    await stage.makePod('here', 'reader');
    await stage.makePod('there', 'writer', { node: 'node-namesake' });
    await stage.until(() => isAssigned('here-default-reader')() && isAssigned('there-default-writer')(), 'both Assigned');
    assert.deepEqual([stage.attached(), stage.attached(namesake)], [['reader', 'third'], ['writer']]);
    assert.deepEqual([patchesOf(pool1, since).length, patchesOf(namesake, since).length], [1, 1]);
    await stage.removePod('there');
    await stage.until(() => stage.attached(namesake).length === 0, 'detached there');
    assert.deepEqual(stage.attached(), ['reader', 'third']);
    await stage.removePod('here');
    await cleared();
  });

  it('sets that are missing, throttled or forbidden keep no other one from being repaired (spec 2.9)', async () => {
    await stage.makePod('repaired', 'writer');
    await stage.makePod('throttled', 'writer', { node: 'node-namesake' });
    await stage.makePod('forbidden', 'writer', { node: 'node-elsewhere' });
    await stage.until(() => ['repaired', 'throttled', 'forbidden'].every((pod) => isAssigned(`${pod}-default-writer`)()), 'Assigned');
    await stage.makePod('missing', 'writer', { node: 'node-missing' });
    const faults = [
      stage.emulator.addFault({ fault: 'throttled', retryAfter: 1, resource: namesake, count: null }),
      stage.emulator.addFault({ fault: 'forbidden', resource: elsewhere }),
    ];
    const since = stage.emulator.log.last;
    const refused = (scope: string, status: number) =>
      stage.emulator.log.waitFor(
        (entry) =>
          entry.seq > since && entry.kind === 'request' && entry.path.toLowerCase() === scope.toLowerCase() && entry.status === status,
      );
    await Promise.all([refused(namesake, 429), refused(elsewhere, 403), refused(missingSet, 404)]);
    await stage.emulator.act({ do: 'wipe', resource: pool1, identities: [idOf('writer')] });
    await stage.until(() => stage.attached().includes('writer'), 'attached again');
    for (const fault of faults) stage.emulator.removeFaults(fault);
    await stage.emulator.act({ do: 'wipe', resource: namesake, identities: [idOf('writer')] });
    await stage.until(() => stage.attached(namesake).includes('writer'), 'the throttled one too, when its time has come');
    for (const pod of ['repaired', 'throttled', 'forbidden', 'missing']) await stage.removePod(pod);
    await cleared();
  });

  it('what another writer attaches just before our last removal survives it (spec 2.10)', async () => {
    await stage.makePod('last', 'writer', { node: 'node-namesake' });
    await stage.until(isAssigned('last-default-writer'), 'Assigned');
    const since = stage.emulator.log.last;
    // Carried out when the PATCH arrives, after the GET that it was made from.
    const action = { do: 'attach', resource: namesake, identities: [idOf('reader')] };
    stage.emulator.addFault({ fault: 'write', method: 'PATCH', resource: namesake, action });
    await stage.removePod('last');
    await stage.until(() => stage.attached(namesake).join() === 'reader', 'only theirs is left');
    const [raced, then] = patchesOf(namesake, since);
    assert.match(raced ?? '', /"None"/, 'the first would have removed all');
    assert.match(then ?? '', /"UserAssigned".*null/, 'the second removes ours alone');
    await stage.emulator.act({ do: 'wipe', resource: namesake, identities: null });
    await cleared();
  });

  it('a credential that is swapped by a symbolic link is taken up without a restart (spec 2.1)', async () => {
    await stage.makePod('before', 'writer');
    await stage.until(isAssigned('before-default-writer'), 'Assigned');
    await mount('second', 'rotated');
    stage.emulator.patchState({ apps: [{ clientId: app.clientId, secrets: ['rotated'] }] });
    stage.emulator.addFault({ fault: 'unauthorized' });
    await stage.makePod('rotated', 'reader');
    await stage.until(isAssigned('rotated-default-reader'), 'Assigned with the new secret');
    for (const pod of ['before', 'rotated']) await stage.removePod(pod);
    await cleared();
  });

  it('kubectl describe shows the Events of a binding and of an object that was only just made (spec 2.13)', async () => {
    const describe = async (kind: string, name: string) => {
      const { kubectl, kubeconfig } = stage.plane;
      const args = ['describe', kind, name, '--namespace=default'];
      return (await run(kubectl, args, { env: { KUBECONFIG: kubeconfig }, timeoutSeconds: 60 })).stdout;
    };
    await refuseAssigned('refused');
    await stage.makeIdentity('told', { resourceID: idOf('writer') });
    await stage.makeBinding('told', 'told', 'told');
    await stage.makePod('refused', 'told');
    await stage.makePod('shown', 'told');
    const object = 'refused-default-told';
    await eventually(
      async () =>
        /Warning +status update error .*failed to update AzureAssignedIdentity default\/refused-default-told status to Assigned/.test(
          await describe('azureassignedidentity', object),
        ),
      'the Event of the object',
    );
    await eventually(
      async () =>
        /Normal +binding applied .*Binding told applied on node node-0 for pod shown/.test(await describe('azureidentitybinding', 'told')),
      'the Event of the binding',
    );
    // An object that cannot be written keeps no other pod waiting.
    await stage.makePod('beside', 'reader');
    await stage.until(isAssigned('beside-default-reader'), 'another identity is Assigned');
    for (const pod of ['refused', 'shown', 'beside']) await stage.removePod(pod);
    await cleared();
  });

  it('the ports for probes and metrics answer nothing else, such as profiles (spec 2.14)', async () => {
    const ask = async (port: unknown, route: string) => (await fetch(`http://127.0.0.1:${String(port)}${route}`)).status;
    assert.deepEqual([await ask(started.probes, '/healthz'), await ask(started.metrics, '/metrics')], [200, 200]);
    for (const port of [started.probes, started.metrics])
      for (const route of ['/debug/pprof/', '/debug/pprof/heap', '/debug/pprof/profile?seconds=1', '/debug/vars', '/'])
        assert.equal(await ask(port, route), 404, route);
  });
});

/** No object of this pod may become Assigned; resolves once the API server holds to it. */
async function refuseAssigned(pod: string): Promise<void> {
  const group = '/apis/admissionregistration.k8s.io/v1';
  const metadata = { name: 'refuse-assigned' };
  const rule = {
    apiGroups: ['aadpodidentity.k8s.io'],
    apiVersions: ['v1'],
    operations: ['CREATE', 'UPDATE'],
    resources: ['azureassignedidentities'],
  };
  await stage.client.call('POST', `${group}/validatingadmissionpolicies`, {
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
  await stage.client.call('POST', `${group}/validatingadmissionpolicybindings`, {
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
      await stage.client.call('POST', resourcePath(azureAssignedIdentities, { namespace: 'default' }), { body, query: { dryRun: 'All' } });
      return false;
    } catch (error) {
      return error instanceof KubeError && error.status === 422;
    }
  }, 'the policy in force');
}
