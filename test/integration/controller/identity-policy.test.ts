// The setting identityPolicy on the real API server: what it refuses is attached nowhere and gets no token, and users read why.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { tokenPath as brokerTokenPath } from '../../../api/broker.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { azureIdentities, namespaces, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { app, idOf, pool1, tenant } from '../azure/fixtures.ts';
import { call, tokenPath } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

const policy = [
  { namespaces: { matchLabels: { trusted: 'yes' } }, resourceIDs: [idOf('read*').toLowerCase()] },
  { namespaces: ['default'], resourceIDs: [idOf('writer')] },
  { namespaces: ['default'], clientIDs: [app.clientId], tenantIDs: [tenant] },
];
const policyFlag = `--identity-policy=${JSON.stringify(policy)}`;
const reason = 'IdentityNotAllowed';

let harness: Harness;
let broker: BrokerService;

before(async () => {
  harness = await startHarness();
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createNamespace('team');
  await harness.createIdentity('reader', {}, { namespace: 'team' });
  await harness.createBinding('reader', 'reader', 'reader', 'team');
  for (const name of ['writer', 'third', 'principal']) await harness.createBinding(name, name, name);
  await harness.createIdentity('writer');
  await harness.createIdentity('third');
  const data = { clientSecret: Buffer.from(app.secret).toString('base64') };
  await harness.client.call('POST', resourcePath(secrets, { namespace: 'default' }), {
    body: { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'password' }, data },
  });
  const principal = { type: 1, resourceID: '', clientID: app.clientId, tenantID: tenant, clientPassword: { name: 'password' } };
  await harness.createIdentity('principal', principal);
  broker = await serveBroker(harness);
  await harness.startController([serviceFlag, policyFlag]);
  await broker.startReplica({ flags: [policyFlag] });
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

const label = (trusted: string | null) =>
  harness.client.call('PATCH', resourcePath(namespaces, { name: 'team' }), {
    contentType: mergePatch,
    body: { metadata: { labels: { trusted } } },
  });
const ask = (sidecar: RunningProxy) =>
  call(sidecar.url, `${tokenPath}?resource=${encodeURIComponent('https://vault.azure.net')}`, { headers: { metadata: 'true' } });

describe('identityPolicy', () => {
  it('refuses an identity that no entry allows, on object, Events and the 400', async (t) => {
    await harness.createPod('web', 'reader', { namespace: 'team' });
    await harness.untilReason('web-team-reader', reason);
    for (const [kind, name, pattern] of [
      ['AzureIdentity', 'reader', /^IdentityNotAllowed: no entry of identityPolicy allows AzureIdentity team\/reader /],
      ['AzureIdentityBinding', 'reader', /^binding apply error: no entry of identityPolicy allows AzureIdentity team\/reader /],
      ['Pod', 'web', /^IdentityNotAllowed: no entry of identityPolicy allows AzureIdentity team\/reader /],
    ] as const)
      await harness.untilEvent(kind, name, pattern);
    const answer = await ask(await broker.startSidecar(t, 'web', { namespace: 'team' }));
    assert.equal(answer.status, 400);
    assert.match(answer.text, /team\/reader .*IdentityNotAllowed/);
  });

  it('writes only what it allows to Azure', async () => {
    await harness.createPod('allowed', 'writer');
    await harness.createPod('refused', 'third');
    await harness.untilReason('refused-default-third', reason);
    await harness.untilAssigned('allowed-default-writer');
    assert.deepEqual(harness.attached(), ['third', 'writer']);
    assert.equal(harness.status('web-team-reader'), 'Created');
    for (const pod of ['allowed', 'refused']) await harness.deletePod(pod);
  });

  it('follows the labels of the namespace, and detaches what it then refuses', async () => {
    await label('yes');
    await harness.untilAssigned('web-team-reader');
    assert.equal(annotationOf(harness.find('web-team-reader'), 'reason'), undefined);
    assert.ok(harness.attached().includes('reader'));
    await label(null);
    await harness.untilReason('web-team-reader', reason);
    assert.equal(harness.status('web-team-reader'), 'Created');
    await harness.until(() => !harness.attached().includes('reader'), 'detached');
    await harness.deletePod('web', 'team');
  });

  it('mints tokens of a service principal only for tenants that it allows', async (t) => {
    const setTenants = (tenants: string[] | null) => harness.patch(azureIdentities, 'principal', { spec: { auxiliaryTenantIDs: tenants } });
    await harness.createPod('minted', 'principal');
    await harness.untilAssigned('minted-default-principal');
    const sidecar = await broker.startSidecar(t, 'minted');
    assert.equal((await ask(sidecar)).status, 200);
    await setTenants(['other.example']);
    await harness.untilReason('minted-default-principal', reason);
    assert.equal(harness.status('minted-default-principal'), 'Created');
    const refused = await ask(sidecar);
    assert.equal(refused.status, 400);
    assert.match(refused.text, /IdentityNotAllowed/);
    const body = { identity: 'default/principal', resource: 'https://vault.azure.net' };
    assert.equal(await broker.post('minted', brokerTokenPath, body), 400);
    await setTenants(null);
    await harness.untilAssigned('minted-default-principal');
    assert.equal(await broker.post('minted', brokerTokenPath, body), 200);
    await harness.deletePod('minted');
  });
});
