// Identities of types 1 and 2 from end to end: no call to Resource Manager, a token minted by the broker, no secret in the pod.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createClientCertificate, pkcs12Of } from '../../../lib/azure/auth/testing/client-certificate.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azureIdentities, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { eventually } from '../../harness/wait.ts';
import { app, pool1, tenant } from '../azure/fixtures.ts';
import { call, claimsOf, tokenPath } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { statusOf } from './harness/observations.ts';

const resource = 'https://vault.azure.net';
const team = { clientId: 'cccccccc-0000-4000-8000-000000000002', secret: 'team-secret' };
const certified = 'cccccccc-0000-4000-8000-000000000003';

let harness: Harness;
let broker: BrokerService;

before(async () => {
  const certificate = createClientCertificate();
  harness = await startHarness({
    azure: {
      apps: [
        { clientId: app.clientId, secrets: [app.secret] },
        { clientId: team.clientId, secrets: [team.secret] },
        { clientId: certified, certificates: [certificate.certificate] },
      ],
      roles: [{ principal: app.clientId, role: 'Owner' }],
    },
  });
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await makeSecret('password', { clientSecret: Buffer.from(team.secret) });
  await makeSecret('certificate', {
    certificate: pkcs12Of(certificate, 'pass'),
    password: Buffer.from('pass'),
  });
  await makePrincipal('password', { type: 1, clientID: team.clientId, clientPassword: { name: 'password', namespace: 'default' } });
  await makePrincipal('certificate', { type: 2, clientID: certified, clientPassword: { name: 'certificate', namespace: 'default' } });
  broker = await serveBroker(harness);
  await harness.startController([serviceFlag]);
  await broker.startReplica();
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

async function makeSecret(name: string, data: Record<string, Buffer>): Promise<void> {
  const encoded = Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.toString('base64')]));
  const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name }, data: encoded };
  await harness.client.call('POST', resourcePath(secrets, { namespace: 'default' }), { body });
}

async function makePrincipal(name: string, spec: Record<string, unknown>): Promise<void> {
  await harness.createIdentity(name, { resourceID: '', tenantID: tenant, ...spec });
  await harness.createBinding(name, name, name);
}

const change = (resource: typeof secrets, name: string, body: Record<string, unknown>) =>
  harness.client.call('PATCH', resourcePath(resource, { namespace: 'default', name }), { contentType: mergePatch, body });
const ask = (sidecar: RunningProxy, wanted = resource) =>
  call(sidecar.url, `${tokenPath}?resource=${encodeURIComponent(wanted)}`, { headers: { metadata: 'true' } });
const tokensIn = (text: string): unknown[] => {
  const body: unknown = JSON.parse(text);
  const list = Array.isArray(body) ? body : [body];
  return list.map((each) => claimsOf(String(each.access_token)).appid);
};

describe('service principals', () => {
  it('of both types are Assigned without a call to Resource Manager and serve tokens', async (t) => {
    for (const [name, clientId] of [
      ['password', team.clientId],
      ['certificate', certified],
    ] as const) {
      await harness.createPod(name, name);
      await harness.until(() => statusOf(harness.assigned.get(`default/${name}-default-${name}`)) === 'Assigned', `${name} is Assigned`);
      const sidecar = await broker.startSidecar(t, name);
      const reply = await ask(sidecar);
      assert.equal(reply.status, 200, reply.text);
      assert.deepEqual(tokensIn(reply.text), [clientId]);
      assert.equal(reply.json.client_id, clientId);
      await harness.deletePod(name);
    }
    await harness.until(() => [...harness.assigned.values()].length === 0, 'released');
    const toArm = harness.emulator.log.list().filter((entry) => entry.kind === 'request' && entry.service === 'arm');
    assert.deepEqual(toArm, []);
  });

  it('answer with a list of tokens while they have auxiliary tenants', async (t) => {
    await harness.createPod('several', 'password');
    const sidecar = await broker.startSidecar(t, 'several');
    assert.equal((await ask(sidecar)).text.startsWith('{'), true);
    await change(azureIdentities, 'password', { spec: { auxiliaryTenantIDs: [tenant] } });
    await eventually(async () => (await ask(sidecar)).text.startsWith('['), 'a list');
    assert.deepEqual(tokensIn((await ask(sidecar)).text), [team.clientId, team.clientId]);
    await change(azureIdentities, 'password', { spec: { auxiliaryTenantIDs: null } });
    await eventually(async () => (await ask(sidecar)).text.startsWith('{'), 'one token again');
    await harness.deletePod('several');
  });

  it('answer with the code of Entra while their secret is wrong', async (t) => {
    await makeSecret('corrected', { anything: Buffer.from('wrong') });
    await makePrincipal('corrected', { type: 1, clientID: team.clientId, clientPassword: { name: 'corrected' } });
    await harness.createPod('corrected', 'corrected');
    const sidecar = await broker.startSidecar(t, 'corrected');
    const refused = await ask(sidecar);
    assert.equal(refused.status, 400);
    assert.match(refused.text, /AADSTS7000215/);
    assert.doesNotMatch(refused.text, /wrong/);
    await change(secrets, 'corrected', { data: { anything: Buffer.from(team.secret).toString('base64') } });
    const corrected = await ask(sidecar);
    assert.equal(corrected.status, 200, corrected.text);
    await harness.deletePod('corrected');
  });

  it('may name the Entra of a cloud only, which an Event on the AzureIdentity says', async (t) => {
    const ofCloud = { type: 1, clientID: team.clientId, clientPassword: { name: 'password' } };
    await makePrincipal('own-cloud', { ...ofCloud, adEndpoint: `${harness.emulator.urls.entra}/` });
    await makePrincipal('elsewhere', { ...ofCloud, adEndpoint: 'https://login.microsoftonline.com.evil.example/' });
    for (const [name, status] of [
      ['own-cloud', 200],
      ['elsewhere', 400],
    ] as const) {
      await harness.createPod(name, name);
      const reply = await ask(await broker.startSidecar(t, name));
      assert.equal(reply.status, status, reply.text);
      await harness.deletePod(name);
    }
    await harness.untilEvent('AzureIdentity', 'elsewhere', /^InvalidServicePrincipal: .*adEndpoint must be/);
  });
});
