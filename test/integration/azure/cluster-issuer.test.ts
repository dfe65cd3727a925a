// The exchange of tokens that a real API server issues and whose keys it publishes: by @azure/identity and MSAL, for an identity and an application.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { isRecord } from '../../azure/core/messages.ts';
import { issuer, publicIssuerBinding, roleBindingsPath } from '../../cluster/components.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { app, armAudience, clientIds, conformanceState, identityIds, tenant } from './fixtures.ts';
import type { TestContext } from './harness.ts';
import { emulate } from './harness.ts';
import { claimsOf } from './requests.ts';
import { runClient } from './run-client.ts';

const subject = 'system:serviceaccount:default:default';
const audience = 'api://AzureADTokenExchange';
let plane: ControlPlane;

before(async () => {
  plane = await leaseControlPlane();
  await create(roleBindingsPath, publicIssuerBinding);
});
after(() => plane?.stop());

function create(target: string, body: object): Promise<Record<string, unknown>> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${plane.token}`, 'content-type': 'application/json' };
    const sent = request(new URL(target, plane.url), { method: 'POST', headers, ca: plane.ca, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part;
      });
      response.on('end', () => {
        const parsed: unknown = JSON.parse(text);
        if (response.statusCode === 201 && isRecord(parsed)) resolve(parsed);
        else reject(new Error(`${target}: ${response.statusCode} ${text}`));
      });
    });
    sent.on('error', reject);
    sent.end(JSON.stringify(body));
  });
}

async function serviceAccountToken(audiences: string[] = [audience]): Promise<string> {
  const { status } = await create('/api/v1/namespaces/default/serviceaccounts/default/token', { spec: { audiences } });
  assert.ok(isRecord(status) && typeof status.token === 'string');
  return status.token;
}

/** An emulator whose identity and application trust the service account, and the file of its token. */
async function trusting(context: TestContext, token: string, issuerCa = plane.ca) {
  const emulator = await emulate(context, {
    running: true,
    issuerCa,
    state: conformanceState({
      identities: [{ ...identityIds.writer, federated: [{ name: 'cluster', issuer, subject }] }],
      apps: [{ clientId: app.clientId, federated: [{ issuer, subject }] }],
      scaleSets: [],
      virtualMachines: [],
      issuers: [{ issuer, url: plane.url }],
      imds: { vm: null },
    }),
  });
  const folder = mkdtempSync(path.join(tmpdir(), 'azure-issuer-'));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  const tokenFile = path.join(folder, 'token');
  writeFileSync(tokenFile, token);
  return { emulator, tokenFile };
}

for (const [what, clientId] of [
  ['an identity', clientIds.writer],
  ['an application', app.clientId],
] as const)
  for (const client of ['identity-workload', 'msal-assertion'] as const)
    test(`gives ${client} the token of ${what} for one of the cluster`, async (context) => {
      const assertion = await serviceAccountToken();
      const { emulator, tokenFile } = await trusting(context, assertion);
      const base = { authority: emulator.urls.entra, tenant, clientId, resource: armAudience };
      const one = client === 'identity-workload' ? { client, ...base, tokenFile } : { client, ...base, assertion };
      const { result, error } = await runClient(one, { ca: emulator.ca });
      assert.equal(error, null);
      const { appid, tid, aud } = claimsOf(String(result.token));
      assert.deepEqual([appid, tid, aud], [clientId, tenant, armAudience]);
    });

for (const [code, what, audiences] of [
  ['700212', 'a token for another audience', ['https://kubernetes.default.svc']],
  ['90061', 'an issuer whose certificate is not trusted', [audience]],
] as const)
  test(`tells @azure/identity AADSTS${code} for ${what}`, async (context) => {
    const { emulator, tokenFile } = await trusting(context, await serviceAccountToken([...audiences]), code === '90061' ? '' : plane.ca);
    const base = { authority: emulator.urls.entra, tenant, clientId: clientIds.writer, resource: armAudience };
    const { error } = await runClient({ client: 'identity-workload', ...base, tokenFile }, { ca: emulator.ca });
    assert.match(String(error?.message), new RegExp(`AADSTS${code}|${code}`));
  });
