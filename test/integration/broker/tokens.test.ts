// Service principals against the emulator's Entra: the requests are MSAL's own, over TLS.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeJwt } from 'jose';
import type { AzureIdentitySpec } from '../../../api/kinds.ts';
import { createTokenMinter } from '../../../broker/token-minter.ts';
import { systemClock } from '../../../common/clock.ts';
import { msalNetwork } from '../../../lib/azure/auth/msal-network.ts';
import { createClientCertificate, pkcs12Of } from '../../../lib/azure/auth/testing/client-certificate.ts';
import { trustAlso } from '../../../lib/azure/trusted-certificates.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { silentLogger } from '../../../lib/log.ts';
import { app, smallAzure, tenant } from '../azure/fixtures.ts';
import type { TestContext } from '../azure/harness.ts';
import { emulate } from '../azure/harness.ts';

async function minterOf(t: TestContext, spec: AzureIdentitySpec, data: Record<string, Buffer>, azure: Record<string, unknown> = {}) {
  const emulator = await emulate(t, { state: smallAzure(azure), running: true });
  trustAlso(emulator.ca);
  const secret = { metadata: {}, data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, value.toString('base64')])) };
  const client: KubeClient = { call: async () => secret, watch: () => assert.fail('no watch'), close: async () => undefined };
  const mint = createTokenMinter({
    client,
    log: silentLogger,
    events: { record: () => undefined },
    identityOf: () => ({
      metadata: { namespace: 'team', name: 'sp' },
      spec: { clientID: app.clientId, tenantID: tenant, clientPassword: { name: 'pw' }, ...spec },
    }),
    rules: { authority: emulator.urls.entra, knownHosts: [], allowCrossNamespaceSecrets: false, isAllowed: () => true },
    network: msalNetwork(),
    clock: systemClock,
  });
  return (resource: string) => mint('team/sp', resource);
}

async function minter(...given: Parameters<typeof minterOf>) {
  const mint = await minterOf(...given);
  return async (resource: string) => {
    const answer = await mint(resource);
    assert.ok(!Array.isArray(answer), 'one token, no list');
    return answer;
  };
}

test('mints a token with a client secret, by tenant id and by domain', async (t) => {
  for (const tenantID of [tenant, 'contoso.example']) {
    const mint = await minter(t, { type: 1, tenantID }, { clientSecret: Buffer.from(app.secret) });
    const answer = await mint('https://vault.azure.net');
    const claims = decodeJwt(answer.access_token);
    assert.equal(claims.appid ?? claims.azp, app.clientId);
    assert.equal(claims.aud, 'https://vault.azure.net');
    // MSAL counts from when the answer came.
    assert.ok(Math.abs(Number(claims.exp) - Number(answer.expires_on)) <= 5);
  }
});

test('returns the code of Entra for a wrong client secret', async (t) => {
  const mint = await minter(t, { type: 1 }, { clientSecret: Buffer.from('wrong') });
  await assert.rejects(mint('https://vault.azure.net'), { code: 'token_failed', status: 400, message: /AADSTS7000215/ });
});

test('mints a list of tokens for auxiliary tenants, or none when one tenant refuses', async (t) => {
  const data = { clientSecret: Buffer.from(app.secret) };
  const mint = await minterOf(t, { type: 1, auxiliaryTenantIDs: ['contoso.example'] }, data);
  const answer = await mint('https://vault.azure.net');
  assert.ok(Array.isArray(answer));
  assert.deepEqual(
    answer.map((each) => decodeJwt(each.access_token).aud),
    ['https://vault.azure.net', 'https://vault.azure.net'],
  );
  const elsewhere = await minterOf(t, { type: 1, auxiliaryTenantIDs: ['fabrikam.example'] }, data);
  await assert.rejects(elsewhere('https://vault.azure.net'), { code: 'token_failed', status: 400, message: /AADSTS90002/ });
});

test('mints a token with a PKCS#12 certificate, with and without a password', async (t) => {
  const made = createClientCertificate();
  for (const password of ['pass', '']) {
    const apps = [{ clientId: app.clientId, certificates: [made.certificate] }];
    const mint = await minter(t, { type: 2 }, { certificate: pkcs12Of(made, password), password: Buffer.from(password) }, { apps });
    const answer = await mint('https://vault.azure.net');
    assert.equal(decodeJwt(answer.access_token).aud, 'https://vault.azure.net');
  }
});
