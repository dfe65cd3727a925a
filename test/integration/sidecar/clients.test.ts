// What the clients of Azure get from the sidecar: the JavaScript libraries themselves, the others by their requests
// (docs/reference/client-libraries.md).
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import type { Emulator } from '../../azure/emulator.ts';
import { runClient } from '../azure/run-client.ts';
import { clientIds, resourceIdOf, rowOf, startAzure } from './azure.ts';
import type { FakeBroker } from './fake-broker.ts';
import { startFakeBroker } from './fake-broker.ts';
import type { RunningProxy } from './process.ts';
import { startProxy } from './process.ts';

const resource = 'https://vault.azure.net';

let emulator: Emulator;
let broker: FakeBroker;
let proxy: RunningProxy;
before(async () => {
  emulator = await startAzure(['reader', 'writer', 'third']);
  broker = await startFakeBroker();
  broker.set([rowOf('reader'), rowOf('writer', { objectID: 'bbbbbbbb-0000-4000-8000-000000000002' })]);
  proxy = await startProxy({ imds: emulator.urls.imds, broker, flags: ['--unknown-identity-timeout=0', '--identity-header=the-uid'] });
  await proxy.logged((line) => line.msg === 'identities of this pod');
});
after(async () => {
  await proxy.stop();
  await broker.stop();
  await emulator.stop();
});

const appId = (token: unknown): unknown => {
  const claims: Record<string, unknown> = JSON.parse(Buffer.from(String(token).split('.')[1] ?? '', 'base64url').toString());
  return claims.appid;
};

for (const client of ['identity-managed', 'identity-default', 'msal-managed'] as const) {
  for (const way of ['IMDS', 'App Service'] as const) {
    const env = (): Record<string, string> =>
      way === 'IMDS'
        ? { AZURE_POD_IDENTITY_AUTHORITY_HOST: proxy.url }
        : { IDENTITY_ENDPOINT: `${proxy.url}/msi/token`, IDENTITY_HEADER: 'the-uid' };
    test(`${client} over ${way} gets tokens of bound identities only`, async () => {
      const run = (selector: { clientId?: string; resourceId?: string }) =>
        runClient({ client, selector, resource }, { ca: broker.ca, env: env() });
      // The default credential does not accept a resource id.
      const selectors = [
        {},
        { clientId: clientIds.writer },
        ...(client === 'identity-default' ? [] : [{ resourceId: resourceIdOf('writer') }]),
      ];
      const [first, ...named] = await Promise.all(selectors.map(run));
      assert.equal(appId(first?.result.token), clientIds.reader, JSON.stringify(first?.error));
      for (const each of named) assert.equal(appId(each.result.token), clientIds.writer, JSON.stringify(each.error));
      const refused = await run({ clientId: clientIds.third });
      assert.notEqual(refused.error, null, 'attached to the node, but not bound to this pod');
    });
  }
}

const get = async (target: string, headers: Record<string, string>) => {
  const answer = await fetch(`${proxy.url}${target}`, { headers });
  const text = await answer.text();
  const body: Record<string, string> = JSON.parse(text);
  return { status: answer.status, body, text };
};
const path = '/metadata/identity/oauth2/token';
const encoded = encodeURIComponent(resource);

test('answers probes of credential chains without asking IMDS', async () => {
  const count = emulator.log.list().length;
  for (const target of [
    path,
    `${path}?api-version=2018-02-01&resource=${encoded}`,
    `${path}?api-version=2018-02-01&msi-res-id=x&resource=${encoded}`,
    `${path}?api-version=2018-02-01&client_id=${clientIds.reader}`,
  ]) {
    const { status, text } = await get(target, { accept: 'application/json' });
    assert.equal(status, 400, target);
    assert.doesNotMatch(text, /Identity not found|unreachable/);
  }
  for (const target of [
    '/metadata/identity/getplatformmetadata?cred-api-version=2.0',
    '/metadata/identity/issuecredential?cred-api-version=2.0',
  ]) {
    assert.equal((await get(target, {})).status, 404, target);
  }
  assert.equal(emulator.log.list().length, count);
});

const appService = { 'X-IDENTITY-HEADER': 'the-uid' };
const requests: Record<string, [string, Record<string, string>]> = {
  'MSAL and azidentity for Go': [
    `${path}?api-version=2018-02-01&client_id=${clientIds.writer}&resource=${encoded}`,
    { 'x-client-SKU': 'MSAL.Go', 'x-client-Ver': '1.4' },
  ],
  'adal for Go': [`${path}?api-version=2018-02-01&mi_res_id=${encodeURIComponent(resourceIdOf('writer'))}&resource=${encoded}`, {}],
  'MSAL for Java': [`/${path}?resource=${encoded}&api-version=2018-02-01&client_id=${clientIds.writer}`, { accept: '*/*' }],
  'MSAL for Node with a slash': [
    `/${path}/?api-version=2018-02-01&resource=${encoded}&client_id=${clientIds.writer}`,
    { 'content-type': 'application/x-www-form-urlencoded' },
  ],
  'MSAL for .NET': [
    `${path}?api-version=2018-02-01&resource=${encoded}&msi_res_id=${encodeURIComponent(resourceIdOf('writer').toUpperCase())}`,
    { 'x-ms-correlation-id': 'x' },
  ],
  'MSAL for Python': [
    `${path}?api-version=2018-02-01&resource=${encoded}&object_id=BBBBBBBB-0000-4000-8000-000000000002`,
    { accept: '*/*' },
  ],
  Terraform: [`${path}?api-version=2018-02-01&client_id=${clientIds.writer}&resource=${encoded}`, { 'accept-encoding': 'gzip' }],
  curl: [`${path}?api-version=2018-02-01&resource=${resource}&client_id=${clientIds.writer.toUpperCase()}`, { accept: '*/*' }],
  'App Service 2017-09-01': [`/msi/token?api-version=2017-09-01&resource=${encoded}&clientid=${clientIds.writer}`, appService],
  'App Service 2019-08-01': [
    `/msi/token?api-version=2019-08-01&resource=${encoded}&principal_id=bbbbbbbb-0000-4000-8000-000000000002`,
    appService,
  ],
};
for (const [client, [target, headers]] of Object.entries(requests)) {
  test(`answers a request of ${client} with the token and the fields that it reads`, async () => {
    const { status, body } = await get(target, { Metadata: 'true', ...headers });
    assert.equal(status, 200);
    assert.equal(appId(body.access_token), clientIds.writer);
    assert.equal(body.resource, resource);
    for (const field of ['expires_in', 'expires_on', 'not_before']) assert.match(body[field] ?? '', /^\d+$/);
  });
}
