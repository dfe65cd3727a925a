// The proxy as a process, with the Azure emulator and the fake broker: what an application gets.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Emulator } from '../../azure/emulator.ts';
import { attach, clientIds, rowOf, startAzure } from './azure.ts';
import type { FakeBroker } from './fake-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import type { RunningProxy } from './process.ts';
import { memoryOf, startProxy } from './process.ts';

const resource = 'https://vault.azure.net';

let emulator: Emulator;
let broker: FakeBroker;
let proxy: RunningProxy;
const ask = async (query: string, headers: Record<string, string> = { Metadata: 'true' }, path = '/metadata/identity/oauth2/token') => {
  const answer = await fetch(`${proxy.url}${path}?${query}`, { headers });
  const body: Record<string, string> = JSON.parse(await answer.text());
  return { status: answer.status, headers: answer.headers, body };
};

before(async () => {
  emulator = await startAzure(['reader', 'writer'], { imds: { scheduledEvents: ['event-1'] } });
  broker = await startFakeBroker();
  broker.set([rowOf('reader'), rowOf('writer')]);
  proxy = await startProxy({ imds: emulator.urls.imds, broker, flags: ['--unknown-identity-timeout=0'] });
  await proxy.logged((line) => line.msg === 'identities of this pod');
});
after(async () => {
  assert.equal(await proxy.stop(), 0, 'SIGTERM in native mode ends with 0');
  await broker.stop();
  await emulator.stop();
});

test('answers with a token of the default identity, got from IMDS by resource id', async () => {
  const { status, body } = await ask(`api-version=2018-02-01&resource=${encodeURIComponent(resource)}`);
  assert.equal(status, 200);
  assert.equal(body.client_id, clientIds.reader);
  assert.equal(body.resource, resource);
  assert.ok(Object.values(body).every((value) => typeof value === 'string'));
  const claims = JSON.parse(Buffer.from(String(body.access_token).split('.')[1] ?? '', 'base64url').toString());
  assert.equal(claims.appid, clientIds.reader);
  const asked = emulator.log.list().filter((entry) => entry.kind === 'request' && entry.service === 'imds');
  assert.equal(asked.length, 1);
  assert.match(JSON.stringify(asked[0]), /msi_res_id/);
});

test('answers with a token of a named identity, the second time from the cache', async () => {
  const first = await ask(`resource=${resource}&client_id=${clientIds.writer.toUpperCase()}`);
  const count = emulator.log.list().length;
  const second = await ask(`resource=${resource}&client_id=${clientIds.writer}`);
  assert.equal(first.status, 200);
  assert.equal(second.body.access_token, first.body.access_token);
  assert.equal(emulator.log.list().length, count);
});

test('answers 400 to a request without the Metadata header', async () => {
  const bare = await ask(`resource=${resource}`, {});
  assert.equal(bare.status, 400);
  assert.doesNotMatch(bare.body.error_description ?? '', /Identity not found/);
});

test('lists the bound identities in the error for another identity', async () => {
  const { status, body } = await ask(`resource=${resource}&object_id=11111111-2222-4333-8444-555555555555`);
  assert.equal(status, 400);
  assert.match(body.error_description ?? '', /^Identity not found: .*team\/reader/);
});

test('answers as soon as the identity is assigned', async () => {
  broker.set([rowOf('reader'), rowOf('third', { state: 'Created' })]);
  await proxy.logged((line) => String(line.identities).includes('third Created'));
  const asked = ask(`resource=${resource}&client_id=${clientIds.third}`);
  attach(emulator, ['reader', 'writer', 'third']);
  broker.set([rowOf('reader'), rowOf('third')]);
  assert.equal((await asked).body.client_id, clientIds.third);
});

test('answers with a list of tokens for a principal with auxiliary tenants', async () => {
  const clientID = 'cccccccc-0000-4000-8000-000000000001';
  const principal = { name: 'principal', type: 1, source: 'broker', clientID, resourceID: '', tenantID: 'a.example' } as const;
  broker.set([{ ...rowOf('reader'), ...principal, auxiliaryTenantIDs: ['b.example'] }]);
  broker.mint = () => ({
    status: 200,
    body: ['a', 'b'].map((access_token) => ({ access_token, client_id: clientID, expires_in: '3600', token_type: 'Bearer' })),
  });
  await proxy.logged((line) => String(line.identities).includes('principal Assigned'));
  const answer = await fetch(`${proxy.url}/metadata/identity/oauth2/token?resource=x`, { headers: { Metadata: 'true' } });
  const body: unknown = await answer.json();
  assert.ok(Array.isArray(body), JSON.stringify(body));
  assert.deepEqual(
    body.map((each) => each.access_token),
    ['a', 'b'],
  );
  assert.ok(body.every((each) => Object.values(each).every((value) => typeof value === 'string')));
  broker.set([rowOf('reader')]);
});

test('passes collateral on, with the chain of its certificates', async () => {
  const platform = 'qeid=0a&encrypted_ppid=ff&cpusvn=01&pcesvn=0b00&pceid=0000&api-version=2021-07-22-preview';
  const intel = await fetch(`${proxy.url}/metadata/thim/sgx/certification/v4/pckcert?${platform}`, { headers: { Metadata: 'true' } });
  assert.match(await intel.text(), /^-----BEGIN CERTIFICATE-----/);
  assert.deepEqual([intel.status, intel.headers.get('sgx-tcbm')], [200, '010b00']);
  assert.match(intel.headers.get('sgx-pck-certificate-issuer-chain') ?? '', /BEGIN%20CERTIFICATE/);
  const amd = await ask('', { Metadata: 'true' }, '/metadata/THIM/amd/certification');
  assert.deepEqual([amd.status, typeof amd.body.vcekCert], [200, 'string']);
});

test('passes a TD report on', async () => {
  const answer = await fetch(`${proxy.url}/acc/tdquote`, { method: 'POST', body: '{"report":"AA=="}' });
  assert.equal(answer.status, 200);
  assert.match(await answer.text(), /^\{"quote":"[\w-]+"\}$/);
});

const approve = (url: string, event: string) =>
  fetch(`${url}/metadata/scheduledevents?api-version=2020-07-01`, {
    method: 'POST',
    headers: { Metadata: 'true', 'Content-Type': 'application/json' },
    body: JSON.stringify({ StartRequests: [{ EventId: event }] }),
  });

test('refuses to approve an event', async () => {
  const refused = await approve(proxy.url, 'event-1');
  assert.equal(refused.status, 403);
  assert.match(await refused.text(), /sidecar\.scheduledEventsNamespaces/);
});

test('approves an event of the node where that is allowed', async (context) => {
  const allowed = await startProxy({ imds: emulator.urls.imds, broker, flags: ['--allow-event-approval'] });
  context.after(() => allowed.stop());
  assert.equal((await approve(allowed.url, 'event-1')).status, 200);
  assert.equal((await approve(allowed.url, 'event-2')).status, 400, "IMDS's own answer");
});

test('uses less than 7 MiB of private memory', async () => {
  for (let i = 0; i < 100; i += 1) await ask(`resource=${resource}`);
  const memory = await memoryOf(proxy.pid);
  console.log(`private ${memory.privateKiB} KiB, PSS ${memory.pssKiB} KiB, RSS ${memory.rssKiB} KiB`);
  assert.ok(memory.privateKiB < 7 * 1024);
});
