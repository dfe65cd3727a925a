// Federated identities from end to end: API server, controller, broker and sidecar as programs, the emulated Azure and Entra.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { annotations, brokerServiceName, leaderLeaseName } from '../../../api/names.ts';
import type { FederationRecord } from '../../../lib/identities/federation/record.ts';
import { federationRecordName, parseFederationRecord } from '../../../lib/identities/federation/record.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { azureIdentities, configMaps, leases, resourcePath } from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { app, idOf, pool1 } from '../azure/fixtures.ts';
import { call, claimsOf, tokenPath } from '../azure/requests.ts';
import type { RunningProxy } from '../sidecar/process.ts';
import type { BrokerService } from './broker-service.ts';
import { serveBroker, serviceFlag } from './broker-service.ts';
import { federationFlags } from './federation.ts';
import type { Harness } from './harness/harness.ts';
import { startHarness } from './harness/harness.ts';
import { annotationOf } from './harness/observations.ts';

const vault = 'https://vault.azure.net';
const names = ['plain', 'full', 'refused', 'drifting', 'switched', 'killed', 'unused', 'recreated', 'third'];
const federate = { annotations: { [annotations.assignment]: 'federate' } };

let harness: Harness;
let broker: BrokerService;
let leader: RunningProgram;
let flags: string[];

before(async () => {
  const foreign = Array.from({ length: 20 }, (_, index) => ({
    name: `ci-${index}`,
    issuer: 'https://ci.example',
    subject: `job-${index}`,
  }));
  harness = await startHarness({
    azure: {
      identities: names.map((name) => (name === 'full' ? { name, federated: foreign } : { name })),
      apps: [{ clientId: app.clientId, secrets: [app.secret] }],
    },
  });
  broker = await serveBroker(harness);
  const federation = await federationFlags(harness, broker);
  flags = [serviceFlag, ...federation.controller, '--federated-detach-delay=2'];
  await harness.createNode('node-0', '');
  await harness.createNode('node-1', `azure://${pool1}/virtualMachines/0`);
  leader = await harness.startController(flags);
  await broker.startReplica({ flags: federation.broker });
});
after(async () => {
  await broker?.stop();
  await harness?.stop();
});

async function bind(name: string, metadata: Record<string, unknown> = federate): Promise<void> {
  await harness.createIdentity(name, {}, metadata);
  await harness.createBinding(name, name, name);
}

const annotate = (name: string, value: string | null) =>
  harness.patch(azureIdentities, name, { metadata: { annotations: { [annotations.assignment]: value } } });

const credentialsOf = (name: string) => harness.emulator.state().identities.get(idOf(name).toLowerCase())?.federated ?? [];

const ask = (sidecar: RunningProxy, resource = vault) =>
  call(sidecar.url, `${tokenPath}?resource=${encodeURIComponent(resource)}`, { headers: { metadata: 'true' } });

async function tokenOf(sidecar: RunningProxy, resource = vault): Promise<Record<string, unknown>> {
  const { status, text } = await ask(sidecar, resource);
  assert.equal(status, 200, text);
  return claimsOf(String((JSON.parse(text) as { access_token: unknown }).access_token));
}

const recordOf = async (name: string): Promise<FederationRecord | undefined> => {
  const path = resourcePath(configMaps, { namespace: 'default', name: federationRecordName(idOf(name)) });
  const raw = await harness.client.call('GET', path).catch((error: unknown) => {
    if (!isNotFound(error)) throw error;
  });
  return raw === undefined ? undefined : parseFederationRecord(raw);
};

/** The broker takes refusals of a credential for propagation in its first ten minutes. */
async function ageCredential(name: string): Promise<void> {
  const record = await recordOf(name);
  const credential = JSON.stringify({ ...record?.credential, createdAt: new Date(Date.now() - 3_600_000).toISOString() });
  await harness.patch(configMaps, federationRecordName(idOf(name)), { data: { credential } });
}

describe('a federated identity', () => {
  it('gives tokens to an unchanged pod on a node without a providerID', async (t) => {
    await bind('plain');
    await harness.createPod('web', 'plain');
    await harness.untilAssigned('web-default-plain');
    const sidecar = await broker.startSidecar(t, 'web');
    const claims = await tokenOf(sidecar);
    const { clientId, objectId } = (await recordOf('plain')) ?? {};
    assert.deepEqual([claims.appid, claims.oid], [clientId, objectId]);
    assert.equal(annotationOf(harness.find('web-default-plain'), 'scope')?.toLowerCase(), idOf('plain').toLowerCase());
    assert.deepEqual([harness.patches(), harness.attached()], [0, ['third']]);
    assert.equal(credentialsOf('plain').length, 1);
  });

  it('costs no call to Resource Manager for a further pod', async () => {
    const since = harness.emulator.log.list().at(-1)?.seq ?? 0;
    await harness.createPod('next', 'plain');
    await harness.untilAssigned('next-default-plain');
    assert.deepEqual(harness.armRequests(since), []);
  });

  it('warns about a release in namespace default', () =>
    harness.untilEvent('Service', brokerServiceName, /^FederationFromDefault: .*namespace of its own/));

  it('with twenty credentials names them and what to do', async () => {
    await bind('full');
    await harness.createPod('full', 'full');
    await harness.untilReason('full-default-full', 'FederatedCredentialLimit');
    assert.match(
      annotationOf(harness.find('full-default-full'), 'message') ?? '',
      /az identity federated-credential delete .* ci-0, .*ci-19/,
    );
    assert.equal(credentialsOf('full').length, 20);
  });

  it('without a role tells the command, and goes on once its author has changed it', async () => {
    const fault = harness.emulator.addFault({ fault: 'forbidden', service: 'arm', method: 'PUT', resource: idOf('refused') });
    await bind('refused');
    await harness.createPod('refused', 'refused');
    await harness.untilReason('refused-default-refused', 'MissingRole');
    assert.match(
      annotationOf(harness.find('refused-default-refused'), 'message') ?? '',
      /az role assignment create --role 'Managed Identity/,
    );
    await harness.untilEvent('AzureIdentity', 'refused', /^MissingRole: /);
    harness.emulator.removeFaults(fault);
    await harness.patch(azureIdentities, 'refused', { metadata: { labels: { again: 'yes' } } });
    await harness.untilAssigned('refused-default-refused');
  });

  it('gets its credential again at the first token that Entra refuses', async (t) => {
    await bind('drifting');
    await harness.createPod('drifting', 'drifting');
    await harness.untilAssigned('drifting-default-drifting');
    const sidecar = await broker.startSidecar(t, 'drifting');
    await tokenOf(sidecar);
    await ageCredential('drifting');
    await harness.emulator.act({ do: 'delete-credential', identity: idOf('drifting'), name: null });
    await eventually(async () => (await ask(sidecar, 'https://graph.microsoft.com')).status === 200, 'a token again', { seconds: 60 });
    assert.equal(credentialsOf('drifting').length, 1);
  });

  it('keeps its tokens while it is federated and attached again', async (t) => {
    await bind('switched', {});
    await harness.createPod('switched', 'switched', { node: 'node-1' });
    await harness.untilAssigned('switched-default-switched');
    const sidecar = await broker.startSidecar(t, 'switched');
    const scopeOf = () => annotationOf(harness.find('switched-default-switched'), 'scope')?.toLowerCase();
    const statuses = new Set<string>();
    const off = harness.assigned.onChange(({ key }) => {
      if (key === 'default/switched-default-switched') statuses.add(harness.status('switched-default-switched'));
    });
    t.after(off);
    await tokenOf(sidecar);
    await annotate('switched', 'federate');
    await harness.until(() => scopeOf() === idOf('switched').toLowerCase(), 'a federated object');
    await harness.until(() => !harness.attached().includes('switched'), 'an identity that is detached');
    await tokenOf(sidecar, 'https://storage.azure.com');
    await annotate('switched', null);
    await harness.until(() => scopeOf() === pool1.toLowerCase(), 'an attached object');
    assert.ok(harness.attached().includes('switched'));
    await tokenOf(sidecar, 'https://database.windows.net');
    await eventually(() => credentialsOf('switched').length === 0, 'a credential that is deleted');
    assert.deepEqual([...statuses], ['Assigned']);
  });

  it('loses its credential after the last pod, and gets a new one for the next', async () => {
    await bind('unused');
    await harness.createPod('unused', 'unused');
    await harness.untilAssigned('unused-default-unused');
    await harness.deletePod('unused');
    await eventually(async () => credentialsOf('unused').length === 0 && (await recordOf('unused')) === undefined, 'nothing left');
    await harness.createPod('again', 'unused');
    await harness.untilAssigned('again-default-unused');
  });

  it('that is deleted and made anew gets its new ids', async (t) => {
    await bind('recreated');
    await harness.createPod('recreated', 'recreated');
    await harness.untilAssigned('recreated-default-recreated');
    const before = annotationOf(harness.find('recreated-default-recreated'), 'clientId');
    await ageCredential('recreated');
    await harness.emulator.act({ do: 'recreate-identity', identity: idOf('recreated') });
    const sidecar = await broker.startSidecar(t, 'recreated');
    await eventually(async () => (await ask(sidecar)).status === 200, 'a token', { seconds: 60 });
    const claims = await tokenOf(sidecar);
    assert.notEqual(claims.appid, before);
    assert.equal(annotationOf(harness.find('recreated-default-recreated'), 'clientId'), claims.appid);
  });

  it('writes one credential although the leader is killed during the write', async () => {
    harness.emulator.addFault({ fault: 'hang', service: 'arm', method: 'PUT', resource: idOf('killed'), processed: true, count: 1 });
    await bind('killed');
    await harness.createPod('killed', 'killed');
    await eventually(() => credentialsOf('killed').length === 1, 'a credential');
    await leader.stop('SIGKILL');
    await harness.client.call('DELETE', resourcePath(leases, { namespace: 'default', name: leaderLeaseName }));
    leader = await harness.startController(flags);
    await harness.untilAssigned('killed-default-killed');
    assert.equal(credentialsOf('killed').length, 1);
    assert.equal((await recordOf('killed'))?.credential?.owned, true);
    await harness.deletePod('killed');
    await eventually(() => credentialsOf('killed').length === 0, 'a credential that is deleted');
  });
});
