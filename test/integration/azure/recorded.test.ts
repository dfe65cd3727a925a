// Requests as clients send them that cannot run here, with strict and lenient paths: docs/reference/client-libraries.md.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientIds, idOf, pool1, smallAzure } from './fixtures.ts';
import { emulate } from './harness.ts';
import { arm, attachedNames, call, claimsOf, identityPatch, tokenOf } from './requests.ts';

const token = '/metadata/identity/oauth2/token';
const vault = encodeURIComponent('https://vault.azure.net');
const readerId = encodeURIComponent(idOf('reader'));
const metadata = { Metadata: 'true' };
const guid = '99999999-9999-4999-8999-999999999999';

type Recorded = {
  readonly client: string;
  readonly target: string;
  readonly headers: Record<string, string>;
  /** What IMDS itself answers, and what this one answers when a variable moved the client here. */
  readonly strict: number;
  readonly lenient: number;
};

const requests: readonly Recorded[] = [
  {
    client: 'MSAL Node, moved by the variable',
    target: `${token}/?api-version=2018-02-01&resource=${vault}&client_id=${clientIds.reader}`,
    headers: {
      ...metadata,
      'Content-Type': 'application/x-www-form-urlencoded',
      'x-client-SKU': 'msal.js.node',
      'x-client-VER': '7.2.1',
      'x-ms-client-request-id': guid,
      'sec-fetch-mode': 'cors',
      'user-agent': 'node',
    },
    strict: 404,
    lenient: 200,
  },
  {
    client: 'MSAL Node, variable ending in a slash',
    target: `/${token}/?api-version=2018-02-01&resource=${vault}`,
    headers: metadata,
    strict: 404,
    lenient: 200,
  },
  {
    client: 'MSAL Node with capabilities',
    target: `${token}?api-version=2018-02-01&resource=${vault}&xms_cc=cp1`,
    headers: metadata,
    strict: 200,
    lenient: 200,
  },
  {
    client: 'MSAL Java, moved by the variable',
    target: `/${token}?api-version=2018-02-01&resource=${vault}`,
    headers: metadata,
    strict: 404,
    lenient: 200,
  },
  {
    client: 'azure-identity Python',
    target: `${token}?api-version=2018-02-01&resource=${vault}&client_id=${clientIds.reader}`,
    headers: { ...metadata, 'User-Agent': 'azsdk-python-identity/1.25.0 Python/3.11' },
    strict: 200,
    lenient: 200,
  },
  {
    client: 'MSAL .NET',
    target: `${token}?api-version=2018-02-01&resource=${vault}&msi_res_id=${readerId}`,
    headers: { ...metadata, 'x-client-SKU': 'MSAL.NetCore', 'x-client-Ver': '4.80.0' },
    strict: 200,
    lenient: 200,
  },
  {
    client: 'azidentity Go (parameters in alphabetical order)',
    target: `${token}?api-version=2018-02-01&client_id=${clientIds.reader}&resource=${vault}`,
    headers: {
      ...metadata,
      'x-client-SKU': 'azidentity',
      'x-client-Ver': '1.14.0',
      'x-ms-client-request-id': guid,
      'User-Agent': 'Go-http-client/1.1',
    },
    strict: 200,
    lenient: 200,
  },
  {
    client: 'adal (Go), with the spelling of App Service',
    target: `${token}?api-version=2018-02-01&mi_res_id=${readerId}&resource=${vault}`,
    headers: metadata,
    strict: 200,
    lenient: 200,
  },
  {
    client: 'Terraform',
    target: `${token}?api-version=2018-02-01&client_id=${clientIds.reader}&resource=${vault}`,
    headers: { ...metadata, 'User-Agent': 'HashiCorp Terraform/1.9' },
    strict: 200,
    lenient: 200,
  },
  {
    client: 'Azure CLI',
    target: `${token}?api-version=2018-02-01&resource=${encodeURIComponent('https://management.core.windows.net/')}`,
    headers: { ...metadata, 'User-Agent': 'python-requests/2.32' },
    strict: 200,
    lenient: 200,
  },
  {
    client: "curl, from Microsoft's pages",
    target: `${token}?api-version=2018-02-01&resource=https://vault.azure.net`,
    headers: { Metadata: 'True', 'User-Agent': 'curl/8.5.0' },
    strict: 200,
    lenient: 200,
  },
  {
    client: 'the NMI of aad-pod-identity',
    target: `/metadata/identity/oauth2/token?api-version=2018-02-01&resource=${vault}&client_id=${clientIds.reader.toUpperCase()}`,
    headers: metadata,
    strict: 200,
    lenient: 200,
  },
  { client: 'probe of @azure/identity and azidentity', target: token, headers: { Accept: 'application/json' }, strict: 400, lenient: 400 },
  {
    client: 'probe of azure-identity Python',
    target: `${token}?api-version=2018-02-01&resource=${vault}`,
    headers: {},
    strict: 400,
    lenient: 400,
  },
  {
    client: 'probe of Azure.Identity .NET',
    target: `${token}?api-version=2018-02-01&resource=${vault}&msi-res-id=${readerId}`,
    headers: {},
    strict: 400,
    lenient: 400,
  },
  {
    client: 'capability discovery of MSAL .NET, v2',
    target: '/metadata/identity/getplatformmetadata?cred-api-version=2.0',
    headers: {},
    strict: 404,
    lenient: 404,
  },
  {
    client: 'capability discovery of MSAL .NET, v1',
    target: `${token}?api-version=2018-02-01&client_id=${clientIds.reader}`,
    headers: {},
    strict: 400,
    lenient: 400,
  },
  {
    client: 'region discovery of MSAL .NET',
    target: '/metadata/instance/compute?api-version=2021-02-01',
    headers: metadata,
    strict: 200,
    lenient: 200,
  },
  {
    client: 'older region discovery',
    target: '/metadata/instance/compute/location?api-version=2020-06-01&format=text',
    headers: metadata,
    strict: 200,
    lenient: 200,
  },
  {
    client: 'AzCopy',
    target: '/metadata/instance/compute/vmSize?api-version=2019-03-11&format=text',
    headers: metadata,
    strict: 200,
    lenient: 200,
  },
];

for (const { client, target, headers, strict, lenient } of requests) {
  test(`answers the recorded request of ${client}`, async (context) => {
    for (const [paths, expected] of [
      ['strict', strict],
      ['lenient', lenient],
    ] as const) {
      const emulator = await emulate(context, { paths });
      const reply = await call(emulator.urls.imds, target, { headers });
      assert.equal(reply.status, expected, `${paths}: ${reply.text}`);
      if (expected === 200 && target.includes('oauth2')) assert.equal(claimsOf(tokenOf(reply)).appid, clientIds.reader);
      // Chained credentials take these words of an error for "no identity here" and give up.
      if (expected === 400) assert.doesNotMatch(reply.text, /Identity not found|unreachable/);
    }
  });
}

test('accepts the PATCH of MIC: only the difference, ids in lower case', async (context) => {
  const emulator = await emulate(context, { state: smallAzure() });
  const send = await arm(emulator);
  const body = JSON.stringify(identityPatch('UserAssigned', ['writer', 'third']))
    .toLowerCase()
    .replace('userassigned"', 'UserAssigned"')
    .replace('"userassignedidentities":', '"userAssignedIdentities":');
  const headers = { 'user-agent': 'aad-pod-identity/MIC' };
  assert.equal((await send('PATCH', pool1.toLowerCase(), body, { headers, apiVersion: '2019-12-01' })).status, 202);
  emulator.clock.advance(3000);
  assert.deepEqual(attachedNames(await send('GET', pool1)), ['reader', 'third', 'writer']);
});
