// The node endpoint from end to end, with the real API server: the controller assigns a pod without a sidecar, the broker reads node and account of the
// endpoint's token, the endpoint asks IMDS of its node. Nobody runs the pods, as while their volumes are being mounted.
import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import { after, before, describe, it } from 'node:test';
import { annotations, bindingLabel, nodeServiceAccountName } from '../../../api/names.ts';
import { pods, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { freePort } from '../../harness/free-port.ts';
import { app, clientIds, pool1, tenant } from '../azure/fixtures.ts';
import { claimsOf } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';

const vault = 'https://vault.azure.net';
const driver = 'secrets-store.csi.k8s.io';
const csi = [{ name: 'secrets', csi: { driver, readOnly: true, volumeAttributes: { usePodIdentity: 'true' } } }];
const flex = [{ name: 'secrets', flexVolume: { driver: 'azure/kv', options: { usepodidentity: 'true' } } }];
const driversFlag = `--node-endpoint-drivers=${driver},azure/kv`;

let harness: Harness;
let broker: BrokerService;

interface PodParts {
  node?: string;
  volumes?: unknown[];
  account?: string;
  inject?: string;
}

async function createPod(name: string, selector: string | undefined, { node = 'node-0', volumes = [], account, inject }: PodParts = {}) {
  const body = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name,
      ...(selector === undefined ? {} : { labels: { [bindingLabel]: selector } }),
      ...(inject === undefined ? {} : { annotations: { [annotations.inject]: inject } }),
    },
    spec: {
      nodeName: node,
      containers: [{ name: 'app', image: 'app' }],
      volumes,
      ...(account === undefined ? {} : { serviceAccountName: account }),
    },
  };
  await harness.client.call('POST', resourcePath(pods, { namespace: 'default' }), { body });
}

before(async () => {
  harness = await startHarness({ azure: { roles: [{ principal: app.clientId, role: 'Owner' }] } });
  for (const index of [0, 1]) await harness.createNode(`node-${index}`, `azure://${pool1}/virtualMachines/${index}`);
  await harness.client.call('POST', '/api/v1/namespaces/default/serviceaccounts', {
    body: { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name: nodeServiceAccountName } },
  });
  await harness.client.call('POST', resourcePath(secrets, { namespace: 'default' }), {
    body: {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'password' },
      data: { clientSecret: Buffer.from(app.secret).toString('base64') },
    },
  });
  await harness.createIdentity('reader');
  const principal = {
    type: 1,
    resourceID: '',
    tenantID: tenant,
    clientID: app.clientId,
    clientPassword: { name: 'password', namespace: 'default' },
  };
  await harness.createIdentity('principal', principal);
  for (const name of ['reader', 'principal']) await harness.createBinding(name, name, name);
  await createPod('endpoint', undefined, { account: nodeServiceAccountName });
  broker = await serveBroker(harness);
  await harness.startController([serviceFlag, driversFlag]);
  await broker.startReplica({ flags: [driversFlag] });
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

describe('the node endpoint with the real API server', () => {
  const start = async (test: TestContext, { account = nodeServiceAccountName, pod = 'endpoint', seconds = 45 } = {}) =>
    broker.startNodeEndpoint(test, pod, { port: await freePort(), account, flags: [`--request-deadline=${seconds}`] });
  const ask = async (endpoint: RunningProxy, podname: string, query = `resource=${vault}`) => {
    const response = await fetch(`${endpoint.url}/host/token/?${query}`, { headers: { podns: 'default', podname } });
    const text = await response.text();
    return { status: response.status, text, retryAfter: response.headers.get('retry-after') };
  };
  const appOf = ({ status, text }: { status: number; text: string }) => {
    assert.equal(status, 200, text);
    return claimsOf(JSON.parse(text).token.access_token).appid;
  };

  it('gives the token of an opted-out pod as soon as it is assigned', async (test) => {
    const endpoint = await start(test);
    await createPod('csi', 'reader', { volumes: csi, inject: 'false' });
    assert.equal(appOf(await ask(endpoint, 'csi')), clientIds.reader);
    await harness.untilAssigned('csi-default-reader');
    assert.ok(harness.attached().includes('reader'));
  });

  it('gives the token of a service principal, which the broker makes', async (test) => {
    const endpoint = await start(test);
    await createPod('flex', 'principal', { volumes: flex, inject: 'false' });
    assert.equal(appOf(await ask(endpoint, 'flex')), app.clientId);
    const byId = await ask(endpoint, 'flex', `resource=${vault}&client_id=${clientIds.reader}`);
    assert.equal(byId.status, 404);
    assert.match(byId.text, /no identity with client_id .* Bound to it: default\/principal/);
  });

  it('refuses pods of another node, without such a volume, or without a binding', async (test) => {
    const endpoint = await start(test, { seconds: 8 });
    await createPod('elsewhere', 'principal', { volumes: csi, inject: 'false', node: 'node-1' });
    await createPod('without', 'principal', { inject: 'false' });
    await createPod('unbound', 'nothing', { volumes: csi, inject: 'false' });
    const answers = await Promise.all(['elsewhere', 'without', 'unbound', 'missing'].map((pod) => ask(endpoint, pod)));
    assert.deepEqual(
      answers.map(({ status }) => status),
      [404, 404, 404, 404],
    );
    assert.match(answers[0]?.text ?? '', /is not on node node-0\n$/);
    assert.match(answers[1]?.text ?? '', /mounts no volume of secrets-store\.csi\.k8s\.io or azure\/kv/);
    assert.match(answers[2]?.text ?? '', /has no identity/);
  });

  it('assigns no opted-out pod without such a volume', async () => {
    await createPod('later', 'reader', { volumes: csi, inject: 'false' });
    await harness.untilAssigned('later-default-reader');
    assert.equal(harness.find('without-default-principal'), undefined);
  });

  it('answers 503 with Retry-After while an identity is not assigned', async (test) => {
    await createPod('uninjected', 'reader', { volumes: csi });
    const endpoint = await start(test, { seconds: 3 });
    const { status, text, retryAfter } = await ask(endpoint, 'uninjected');
    assert.deepEqual([status, retryAfter], [503, '5']);
    assert.match(text, /AzureIdentity default\/reader .* is pending: .*AzureAssignedIdentity/);
  });

  it('refuses an endpoint with another account, and the account on other routes', async (test) => {
    await createPod('forged', undefined);
    const endpoint = await start(test, { account: 'default', pod: 'forged', seconds: 2 });
    const { status, text } = await ask(endpoint, 'flex');
    assert.equal(status, 503);
    assert.match(text, /only service account default\/aad-pod-identity-node may call this/);
    for (const [path, body] of [
      ['/v1/token', { identity: 'default/principal', resource: vault }],
      ['/v1/report', { identity: 'default/principal', reason: 'identity_not_found', requestId: 'x' }],
    ] as const)
      assert.equal(await broker.post('endpoint', path, body, nodeServiceAccountName), 403);
  });
});
