// The roles of the chart are what the programs use: the audit log of the API server has no refusal, and each verb that is granted.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { reportPath, tokenPath } from '../../../api/broker.ts';
import { webhookConfigurationName, webhookServiceName } from '../../../api/names.ts';
import { at, stringAt, stringsAt } from '../../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, resourcePath } from '../../../lib/kube/resources.ts';
import { chart, required } from '../../chart/render.ts';
import { findHelm } from '../../cluster/binaries.ts';
import { mustRun } from '../../cluster/run.ts';
import { createEndpointSlice } from '../../harness/endpoint-slice.ts';
import { kubeconfigOf } from '../../harness/service-account.ts';
import { eventually } from '../../harness/wait.ts';
import { pool1 } from '../azure/fixtures.ts';
import { entriesOfChart } from '../chart/installed.ts';
import { startWebhookProcess } from '../webhook/webhook-process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';

const namespace = 'default';
const accounts = ['controller', 'broker', 'webhook'] as const;
type Account = (typeof accounts)[number];

/** What is granted for cases that this test does not make. */
const rarelyUsed: Record<Account, Record<string, string>> = {
  controller: {
    'get pods': 'a pod that is absent from the cache is looked up before its assignments go',
    'update secrets': 'renewal of certificates, and repair',
    'update configmaps': 'rotation of the CA, and repair',
    'get services': 'the address of the broker, which the harness gives by a flag',
  },
  broker: {
    'get pods': 'a pod that is absent from the cache is looked up before its sidecar is refused',
    'create tokenreviews': 'for tokens that the published keys of the API server do not verify',
    'create events': 'AzureIdentities that are not valid',
  },
  webhook: {},
};

let folder: string;
let harness: Harness;
let broker: BrokerService;

before(async () => {
  folder = await mkdtemp(path.join(os.tmpdir(), 'audit-'));
  const policy = { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level: 'Metadata' }] };
  await writeFile(path.join(folder, 'policy.json'), JSON.stringify(policy));
  harness = await startHarness({
    apiServerFlags: { 'audit-policy-file': path.join(folder, 'policy.json'), 'audit-log-path': path.join(folder, 'log') },
  });
  const helm = await findHelm(() => undefined);
  await mustRun(helm, ['install', 'webhook', chart, '-n', namespace, ...required], {
    env: { KUBECONFIG: harness.plane.kubeconfig },
    timeoutSeconds: 120,
  });
  broker = await serveBroker(harness);
});

after(async () => {
  await broker?.stop();
  await harness?.stop();
  await rm(folder, { recursive: true });
});

const kubeconfigFlag = async (account: Account) =>
  `--kubeconfig=${await kubeconfigOf({ plane: harness.plane, client: harness.client, namespace, name: `aad-pod-identity-${account}` })}`;

interface Request {
  /** Such as `list pods`. */
  action: string;
  status: unknown;
}

/** Requests of a service account so far, as in the audit log. Discovery and versions are everybody's right. */
async function requestsOf(account: Account): Promise<Request[]> {
  const lines = (await readFile(path.join(folder, 'log'), 'utf8')).split('\n').slice(0, -1);
  const user = `system:serviceaccount:${namespace}:aad-pod-identity-${account}`;
  return lines
    .map((line): unknown => JSON.parse(line))
    .filter((entry) => stringAt(entry, 'user', 'username') === user)
    .map((entry) => {
      const target = stringAt(entry, 'objectRef', 'resource') ?? (stringAt(entry, 'requestURI') ?? '').split('?')[0];
      return { action: `${stringAt(entry, 'verb')} ${target}`, status: at(entry, 'responseStatus', 'code') };
    });
}

/** Every verb on every resource or path that the chart's roles of an account grant. */
async function grantsOf(account: Account): Promise<string[]> {
  const rbac = '/apis/rbac.authorization.k8s.io/v1';
  const name = `aad-pod-identity-${account}`;
  const roles = await Promise.all(
    [`${rbac}/clusterroles/${name}`, `${rbac}/namespaces/${namespace}/roles/${name}`].map((each) => harness.client.call('GET', each)),
  );
  const rules = roles.flatMap((role) => at(role, 'rules') as unknown[]);
  const grants = rules.flatMap((rule) =>
    [...stringsAt(rule, 'resources'), ...stringsAt(rule, 'nonResourceURLs')].flatMap((target) =>
      stringsAt(rule, 'verbs').map((verb) => `${verb} ${target}`),
    ),
  );
  return [...new Set(grants)];
}

describe('the rights of the programs', () => {
  before(async () => {
    await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
    await harness.createIdentity('reader');
    await harness.createBinding('reader', 'reader', 'read');
    await harness.createPod('web', 'read');
    const entries = `--webhook-entries=${JSON.stringify(await entriesOfChart(harness.client, namespace))}`;
    // A scope that nothing needs is forgotten after one interval, with its record.
    const interval = '--identity-assignment-reconcile-interval=1';
    const controller = await harness.startController([serviceFlag, interval, entries, await kubeconfigFlag('controller')]);
    await broker.startReplica({
      file: path.resolve(import.meta.dirname, '../../../broker/main.ts'),
      flags: [await kubeconfigFlag('broker')],
    });
    await harness.untilAssigned('web-default-reader');
    const report = { identity: 'default/reader', reason: 'identity_not_found', requestId: 'x' };
    assert.equal(await broker.post('web', reportPath, report), 202);
    await harness.deletePod('web');
    await harness.untilReleased();
    await eventually(async () => (await requestsOf('controller')).some(({ action }) => action === 'delete configmaps'), 'the record goes');
    // Made now, since labelled pods are refused once the webhook is registered: nothing answers where its Service leads.
    const guid = 'cccccccc-0000-4000-8000-000000000001';
    const spec = { type: 1, resourceID: '', clientID: guid, tenantID: guid, clientPassword: { name: 'password' } };
    await harness.createIdentity('principal', spec);
    await harness.createBinding('principal', 'principal', 'mint');
    await harness.createPod('minting', 'mint');
    await harness.untilAssigned('minting-default-principal');

    const webhook = await startWebhookProcess({
      plane: harness.plane,
      client: harness.client,
      namespace,
      flags: [],
      file: path.resolve(import.meta.dirname, '../../../webhook/main.ts'),
    });
    try {
      await eventually(async () => (await webhook.readyz()).status === 200, 'a webhook that is ready without being registered');
      await createEndpointSlice(harness.client, { namespace, name: 'webhook', service: webhookServiceName });
      await controller.logged((record) => record.msg === 'webhook registered');
      const configuration = await harness.client.call(
        'GET',
        resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName }),
      );
      assert.equal((at(configuration, 'webhooks') as unknown[]).length, 1);
      await eventually(async () => (await webhook.readyz()).status === 200, 'the webhook stays ready');
    } finally {
      await webhook.stop();
    }
  });

  for (const account of accounts) {
    it(`suffice for the ${account}`, async () => {
      const refused = (await requestsOf(account)).filter(({ status }) => status === 403);
      assert.deepEqual([...new Set(refused.map(({ action }) => action))], []);
    });

    it(`are all used by the ${account}, or have a reason`, async () => {
      const used = new Set((await requestsOf(account)).map(({ action }) => action));
      const unused = (await grantsOf(account)).filter((grant) => !used.has(grant));
      assert.deepEqual(unused.sort(), Object.keys(rarelyUsed[account]).sort());
    });
  }

  it('lack Secrets until a value of the chart grants them, which an Event names', async () => {
    assert.equal(await broker.post('minting', tokenPath, { identity: 'default/principal', resource: 'https://vault.azure.net' }), 503);
    await harness.untilEvent('AzureIdentity', 'principal', /^SecretForbidden: .* rbac\.secretNamespaces .* rbac\.allowAccessToSecrets/);
  });
});
