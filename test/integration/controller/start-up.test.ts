// The controller starts before its CRDs exist, or without some of its rights, and reports what is missing.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { webhookServiceName } from '../../../api/names.ts';
import { warnAboutOldCrds } from '../../../controller/crd-check.ts';
import type { EventRecorder } from '../../../lib/kube/events.ts';
import { at, isRecord, stringAt } from '../../../lib/kube/objects.ts';
import { resourcePath, services } from '../../../lib/kube/resources.ts';
import { silentLogger } from '../../../lib/log.ts';
import { findHelm } from '../../cluster/binaries.ts';
import { run } from '../../cluster/run.ts';
import { crdFolder } from '../../harness/crds.ts';
import { eventually } from '../../harness/wait.ts';
import { pool1 } from '../azure/fixtures.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

const crdPath = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const crdOf = (plural: string) => `${crdPath}/${plural}.aadpodidentity.k8s.io`;

let harness: Harness;
let folder: string;

before(async () => {
  [harness, folder] = await Promise.all([startHarness({ crds: false }), mkdtemp(path.join(os.tmpdir(), 'start-up-'))]);
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
});

after(async () => {
  await harness?.stop();
  await rm(folder, { recursive: true });
});

const readiness = async (started: Record<string, unknown>) => (await fetch(`http://127.0.0.1:${String(started.probes)}/readyz`)).text();

/** Installs the CRD as aad-pod-identity has it: without columns and rules. */
async function installUpstream(file: string): Promise<void> {
  const { plane } = harness;
  const args = ['create', '--dry-run=client', '-o', 'json', '-f', file];
  const { stdout } = await run(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig }, timeoutSeconds: 60 });
  const ours: unknown = JSON.parse(stdout);
  const plural = stringAt(ours, 'spec', 'names', 'plural') ?? '';
  const bare: unknown = JSON.parse(JSON.stringify(at(ours, 'spec')), (key, value: unknown) =>
    key === 'x-kubernetes-validations' || key === 'additionalPrinterColumns' || key === 'pattern' ? undefined : value,
  );
  const metadata = { name: stringAt(ours, 'metadata', 'name'), annotations: { 'api-approved.kubernetes.io': 'unapproved' } };
  const body = { apiVersion: 'apiextensions.k8s.io/v1', kind: 'CustomResourceDefinition', metadata, spec: bare };
  await harness.client.call('POST', crdPath, { body });
  await eventually(async () => {
    const conditions = at(await harness.client.call('GET', crdOf(plural)), 'status', 'conditions');
    return (
      Array.isArray(conditions) &&
      conditions.some((one: unknown) => stringAt(one, 'type') === 'Established' && stringAt(one, 'status') === 'True')
    );
  }, `CRD ${plural}`);
}

describe('the controller', () => {
  it('refuses lease times with which two replicas could lead at once', async () => {
    const expected =
      /the controller ended: controller: --lease-renew is 3: accepted is less than --lease-duration, which is 3 \(chart values: --lease-renew is controller\.leaseRenew, --lease-duration is controller\.leaseDuration\)\n/;
    await assert.rejects(harness.startController(['--lease-duration=3', '--lease-renew=3']), expected);
  });

  it('waits for missing CRDs and works with those of aad-pod-identity', async () => {
    const plurals = ['azureidentities', 'azureidentitybindings', 'azurepodidentityexceptions', 'azureassignedidentities'];
    const controller = await harness.startController();
    const started = await controller.logged((record) => record.msg === 'started');
    for (const plural of plurals)
      await controller.logged((record) => record.resource === plural && String(record.msg).includes('waiting for its CRD to be installed'));
    assert.equal(await readiness(started), `not ready: waiting for the list of ${plurals.join(', ')}\n`);

    for (const file of await readdir(crdFolder)) await installUpstream(path.join(crdFolder, file));
    await controller.logged((record) => String(record.msg).startsWith('CRDs are older than this controller'));
    await eventually(async () => (await readiness(started)) === 'ready\n', 'ready');

    await harness.createIdentity('writer');
    await harness.createIdentity('garbage', { resourceID: 'not an ARM id' });
    for (const name of ['writer', 'garbage']) await harness.createBinding(name, name, 'both');
    await harness.createPod('web', 'both');
    await harness.untilAssigned('web-default-writer');
    assert.equal(annotationOf(harness.find('web-default-writer'), 'scope')?.toLowerCase(), pool1.toLowerCase());
    await harness.untilReason('web-default-garbage', 'InvalidResourceID');
    await harness.deletePod('web');
    await harness.untilReleased();
    await controller.stop();
  });

  it('warns of old CRDs at its start until they are applied as docs/upgrade.md says', async () => {
    const guide = await readFile(path.resolve(import.meta.dirname, '../../../docs/upgrade.md'), 'utf8');
    const command = /^ {4}(helm show crds CHART .*)$/m.exec(guide)?.[1];
    assert.ok(command, 'the page has the command');
    const { plane, client } = harness;
    const service = { apiVersion: 'v1', kind: 'Service', metadata: { name: webhookServiceName }, spec: { ports: [{ port: 443 }] } };
    await client.call('POST', resourcePath(services, { namespace: 'default' }), { body: service });
    const told: string[] = [];
    const events = { record: (...[, , reason, message]: Parameters<EventRecorder['record']>) => void told.push(`${reason}: ${message}`) };
    const check = () => warnAboutOldCrds({ client, log: silentLogger, events, namespace: 'default', webhookService: webhookServiceName });
    await check();
    assert.match(told.join('\n'), /^CrdsOutdated: CRDs are older than this controller, .* \(without a version\)/);
    const programs = [await findHelm(console.log), plane.kubectl].map((file) => path.dirname(file));
    const env = { PATH: [...programs, process.env.PATH].join(':'), KUBECONFIG: plane.kubeconfig };
    const { code, stderr } = await run('sh', ['-c', command.replace('CHART', path.dirname(crdFolder))], { env, timeoutSeconds: 60 });
    assert.equal(code, 0, stderr);
    await check();
    assert.equal(told.length, 1, told.join('\n'));
    const crd = await client.call('GET', crdOf('azureassignedidentities'));
    assert.match(JSON.stringify(at(crd, 'spec', 'versions')), /"additionalPrinterColumns":\[\{/);
  });

  it('reports kinds that it may not read or write, and goes on when it may', async () => {
    const verbs = (resources: string[]) => ({ apiGroups: ['*'], resources, verbs: ['*'] });
    const rules = [
      verbs(['pods', 'nodes', 'events', 'configmaps', 'secrets', 'leases', 'endpoints', 'mutatingwebhookconfigurations', 'tokenreviews']),
      verbs(['azureidentities', 'azurepodidentityexceptions', 'customresourcedefinitions']),
      { ...verbs(['azureassignedidentities']), verbs: ['get', 'list', 'watch'] },
    ];
    const rbac = '/apis/rbac.authorization.k8s.io/v1';
    const limited = { name: 'limited' };
    await harness.client.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
      body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: limited },
    });
    await harness.client.call('POST', `${rbac}/clusterroles`, {
      body: { apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRole', metadata: limited, rules },
    });
    await harness.client.call('POST', `${rbac}/clusterrolebindings`, {
      body: {
        apiVersion: 'rbac.authorization.k8s.io/v1',
        kind: 'ClusterRoleBinding',
        metadata: limited,
        roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'limited' },
        subjects: [{ kind: 'ServiceAccount', name: 'limited', namespace: 'default' }],
      },
    });
    const token = stringAt(
      await harness.client.call('POST', '/api/v1/namespaces/default/serviceaccounts/limited/token', {
        body: { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} },
      }),
      'status',
      'token',
    );
    const config: unknown = JSON.parse(await readFile(harness.plane.kubeconfig, 'utf8'));
    assert.ok(isRecord(config) && Array.isArray(config.users));
    const name = stringAt(config.users[0], 'name');
    const kubeconfig = path.join(folder, 'limited');
    await writeFile(kubeconfig, JSON.stringify({ ...config, users: [{ name, user: { token } }] }));

    const controller = await harness.startController([`--kubeconfig=${kubeconfig}`, '--watch-workloads=false']);
    const started = await controller.logged((record) => record.msg === 'started');
    const refused = await controller.logged((record) => String(record.msg).includes('waiting for the RBAC rule'));
    assert.equal(refused.resource, 'azureidentitybindings');
    await eventually(
      async () => (await readiness(started)) === 'not ready: waiting for the list of azureidentitybindings\n',
      'one missing',
    );

    await harness.client.call('PATCH', `${rbac}/clusterroles/limited`, {
      contentType: 'application/json-patch+json',
      body: [{ op: 'add', path: '/rules/1/resources/-', value: 'azureidentitybindings' }],
    });
    await harness.createPod('later', 'both');
    const message =
      /failed to create AzureAssignedIdentity default\/later-default-writer for pod default\/later, error: .* cannot create resource/;
    await harness.untilEvent('AzureIdentityBinding', 'writer', message);
    const unwritten = await controller.logged((record) => record.controller === 'assignments' && record.msg === 'reconcile failed');
    assert.match(String(unwritten.error), /cannot create resource "azureassignedidentities"/);

    await harness.client.call('PATCH', `${rbac}/clusterroles/limited`, {
      contentType: 'application/json-patch+json',
      body: [{ op: 'replace', path: '/rules/2/verbs', value: ['*'] }],
    });
    await harness.untilAssigned('later-default-writer');
    await controller.stop();
  });
});
