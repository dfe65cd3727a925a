// The controller starts before what it needs is there, or with less than it needs, and says what is missing.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { at, isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { run } from '../../cluster/run.ts';
import { pool1 } from '../azure/support.ts';
import type { Stage } from './stage.ts';
import { crdFolder, eventually, notesOf, setStage, statusOf, untilEvent } from './stage.ts';

const crdPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const crdOf = (plural: string) => `${crdPath}/${plural}.aadpodidentity.k8s.io`;

let stage: Stage;
let folder: string;

before(async () => {
  [stage, folder] = await Promise.all([setStage({}, { withKinds: false }), mkdtemp(path.join(os.tmpdir(), 'start-up-'))]);
  await stage.makeNode('node-0', `azure://${pool1}/virtualMachines/0`);
});

after(async () => {
  await stage?.stop();
  await rm(folder, { recursive: true });
});

const assigned = (name: string) => stage.assigned.get(`default/${name}`);
const readiness = async (started: Record<string, unknown>) => (await fetch(`http://127.0.0.1:${String(started.probes)}/readyz`)).text();

/** Installs the CRD as aad-pod-identity has it: no columns, no rules. */
async function installUpstream(file: string): Promise<void> {
  const { plane } = stage;
  const args = ['create', '--dry-run=client', '-o', 'json', '-f', file];
  const { stdout } = await run(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig }, timeoutSeconds: 60 });
  const ours: unknown = JSON.parse(stdout);
  const plural = stringAt(ours, 'spec', 'names', 'plural') ?? '';
  const bare: unknown = JSON.parse(JSON.stringify(at(ours, 'spec')), (key, value: unknown) =>
    key === 'x-kubernetes-validations' || key === 'additionalPrinterColumns' || key === 'pattern' ? undefined : value,
  );
  const metadata = { name: stringAt(ours, 'metadata', 'name'), annotations: { 'api-approved.kubernetes.io': 'unapproved' } };
  const body = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec: bare };
  await stage.client.call('POST', crdPath, { body });
  await eventually(async () => {
    const conditions = at(await stage.client.call('GET', crdOf(plural)), 'status', 'conditions');
    return (
      Array.isArray(conditions) &&
      conditions.some((one: unknown) => stringAt(one, 'type') === 'Established' && stringAt(one, 'status') === 'True')
    );
  }, `CRD ${plural}`);
}

describe('the start of the controller', () => {
  it('ends with one line where two replicas could hold the Lease at once', async () => {
    const expected = /the controller ended: controller: --lease-renew is 3: accepted is less than --lease-duration, which is 3\n/;
    await assert.rejects(stage.startController(['--lease-duration=3', '--lease-renew=3']), expected);
  });

  it('waits for CRDs that are not there, says for which, says that upstream’s are old, and works with them', async () => {
    const plurals = ['azureidentities', 'azureidentitybindings', 'azurepodidentityexceptions', 'azureassignedidentities'];
    const controller = await stage.startController();
    const started = await controller.logs((record) => record.msg === 'started');
    for (const plural of plurals)
      await controller.logs((record) => record.resource === plural && String(record.msg).includes('waiting for its CRD to be installed'));
    assert.equal(await readiness(started), `not ready: waiting for the list of ${plurals.join(', ')}\n`);

    for (const file of await readdir(crdFolder)) await installUpstream(path.join(crdFolder, file));
    await controller.logs((record) => String(record.msg).startsWith('CRDs are older than this controller'));
    await eventually(async () => (await readiness(started)) === 'ready\n', 'ready');

    await stage.makeIdentity('writer');
    await stage.makeIdentity('garbage', { resourceID: 'not an ARM id' });
    for (const name of ['writer', 'garbage']) await stage.makeBinding(name, name, 'both');
    await stage.makePod('web', 'both');
    await stage.until(() => statusOf(assigned('web-default-writer')) === 'Assigned', 'Assigned with upstream’s CRDs');
    assert.equal(notesOf(assigned('web-default-writer'), 'scope')?.toLowerCase(), pool1.toLowerCase());
    await stage.until(() => notesOf(assigned('web-default-garbage'), 'reason') === 'InvalidResourceID', 'the bad id is told');
    await stage.removePod('web');
    await stage.until(() => [...stage.assigned.values()].length === 0 && stage.attached().join() === 'third', 'all gone');
    await controller.end();
  });

  it('says which kind it may not read and which it may not write, and goes on once it may', async () => {
    const verbs = (resources: string[]) => ({ apiGroups: ['*'], resources, verbs: ['*'] });
    const rules = [
      verbs(['pods', 'nodes', 'events', 'configmaps', 'secrets', 'leases', 'endpoints', 'mutatingwebhookconfigurations', 'tokenreviews']),
      verbs(['azureidentities', 'azurepodidentityexceptions', 'customresourcedefinitions']),
      { ...verbs(['azureassignedidentities']), verbs: ['get', 'list', 'watch'] },
    ];
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const limited = { name: 'limited' };
    await stage.client.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
      body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: limited },
    });
    await stage.client.call('POST', `${rbac}/clusterroles`, {
      body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: limited, rules },
    });
    await stage.client.call('POST', `${rbac}/clusterrolebindings`, {
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: limited,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'limited' },
        subjects: [{ kind: 'ServiceAccount', name: 'limited', namespace: 'default' }],
      },
    });
    const token = stringAt(
      await stage.client.call('POST', '/api/v1/namespaces/default/serviceaccounts/limited/token', {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
      }),
      'status',
      'token',
    );
    const config: unknown = JSON.parse(await readFile(stage.plane.kubeconfig, 'utf8'));
    assert.ok(isRecord(config) && Array.isArray(config.users));
    const name = stringAt(config.users[0], 'name');
    const kubeconfig = path.join(folder, 'limited');
    await writeFile(kubeconfig, JSON.stringify({ ...config, users: [{ name, user: { token } }] }));

    const controller = await stage.startController([`--kubeconfig=${kubeconfig}`]);
    const started = await controller.logs((record) => record.msg === 'started');
    const refused = await controller.logs((record) => String(record.msg).includes('waiting for the RBAC rule'));
    assert.equal(refused.resource, 'azureidentitybindings');
    await eventually(
      async () => (await readiness(started)) === 'not ready: waiting for the list of azureidentitybindings\n',
      'one missing',
    );

    await stage.client.call('PATCH', `${rbac}/clusterroles/limited`, {
      contentType: 'application/json-patch+json',
      body: [{ op: 'add', path: '/rules/1/resources/-', value: 'azureidentitybindings' }],
    });
    await stage.makePod('later', 'both');
    const refusal =
      /failed to create AzureAssignedIdentity default\/later-default-writer for pod default\/later, error: .* cannot create resource/;
    await untilEvent(stage.client, 'AzureIdentityBinding', 'writer', refusal);
    const unwritten = await controller.logs((record) => record.msg === 'assignment not written');
    assert.match(String(unwritten.error), /cannot create resource "azureassignedidentities"/);

    await stage.client.call('PATCH', `${rbac}/clusterroles/limited`, {
      contentType: 'application/json-patch+json',
      body: [{ op: 'replace', path: '/rules/2/verbs', value: ['*'] }],
    });
    await stage.until(() => statusOf(assigned('later-default-writer')) === 'Assigned', 'Assigned once it may');
    await controller.end();
  });
});
