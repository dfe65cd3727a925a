// Entra: rows E1 to E7 of docs/emulator.md.
import assert from 'node:assert/strict';
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import type { JSONWebKeySet, JWTHeaderParameters } from 'jose';
import { createLocalJWKSet, importPKCS8, jwtVerify, SignJWT } from 'jose';
import { createSelfSigned } from '../../azure/core/certificates.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { app, armAudience, smallAzure, tenant } from './fixtures.ts';
import { emulate } from './harness.ts';
import { call, claimsOf, signIn, tokenOf } from './requests.ts';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';
const v1 = `/${tenant}/oauth2/token`;
const v2 = `/${tenant}/oauth2/v2.0/token`;
const get = (emulator: Emulator, path: string) => call(emulator.urls.entra, path, { ca: emulator.ca });

const certified = await createSelfSigned('the app');
const digest = (hash: string) => createHash(hash).update(new X509Certificate(certified.cert).raw).digest('base64url');
const issuerKey = generateKeyPairSync('rsa', { modulusLength: 2048 });
const issuer = 'https://issuer.example/cluster';
const subject = 'system:serviceaccount:default:controller';
const federation = { issuer, subject, audience: 'api://AzureADTokenExchange' };

/** An Azure whose app signs in by secrets (one expired), a certificate, or the tokens of an issuer. */
const manyWays = (settings: Record<string, unknown> = {}) =>
  smallAzure({
    apps: [
      {
        clientId: app.clientId,
        secrets: [app.secret, { value: 'old', expires: '2020-01-01T00:00:00Z' }],
        certificates: [certified.cert],
        federated: [federation],
      },
      { clientId: 'cccccccc-0000-4000-8000-000000000002', secrets: ['other'], tenantId: '33333333-3333-4333-8333-333333333333' },
    ],
    tenants: [{ id: tenant, domains: ['contoso.example'] }, { id: '33333333-3333-4333-8333-333333333333' }],
    issuers: [{ issuer, keys: [issuerKey.publicKey.export({ format: 'jwk' })] }],
    settings,
  });

type Assertion = {
  header?: Partial<JWTHeaderParameters> & Record<string, unknown>;
  claims?: Record<string, unknown>;
  at?: number;
  key?: string;
};

/** An assertion as MSAL makes it, with what the test changes about it. `at` is its time in seconds from now. */
async function assertion(emulator: Emulator, { header = {}, claims = {}, at = 0, key = certified.key }: Assertion = {}): Promise<string> {
  const now = Math.floor(emulator.clock.now() / 1000) + at;
  const protectedHeader = { alg: 'PS256', 'x5t#S256': digest('sha256'), ...header };
  const body = {
    aud: `${emulator.urls.entra}${v2}`,
    iss: app.clientId,
    sub: app.clientId,
    nbf: now,
    iat: now,
    exp: now + 600,
    jti: String(Math.random()),
    ...claims,
  };
  return new SignJWT(body).setProtectedHeader(protectedHeader).sign(await importPKCS8(key, protectedHeader.alg));
}

const foreign = (emulator: Emulator, claims: Record<string, unknown> = {}, at = 0, key = issuerKey.privateKey) =>
  assertion(emulator, {
    header: { alg: 'RS256', 'x5t#S256': undefined, kid: 'k' },
    claims: { iss: issuer, sub: subject, aud: [federation.audience], ...claims },
    at,
    key: key.export({ format: 'pem', type: 'pkcs8' }).toString(),
  });

const signInWith = (emulator: Emulator, client_assertion: string, form: Record<string, string | null> = {}, path = v2) =>
  signIn(emulator, { client_secret: null, client_assertion_type: assertionType, client_assertion, ...form }, path);

const codeOf = (reply: Awaited<ReturnType<typeof call>>) => {
  const { error_codes: codes } = reply.json;
  return [reply.status, reply.json.error, Array.isArray(codes) ? codes[0] : undefined];
};

test('E1: serves both token endpoints, the tenant by id or domain in any case', async (context) => {
  const emulator = await emulate(context);
  for (const name of [tenant, tenant.toUpperCase(), 'contoso.example', 'Contoso.Example']) {
    assert.equal(claimsOf(tokenOf(await signIn(emulator, {}, `/${name}/oauth2/v2.0/token`))).tid, tenant);
    assert.equal(claimsOf(tokenOf(await signIn(emulator, { scope: null, resource: armAudience }, `/${name}/oauth2/token`))).tid, tenant);
  }
  assert.equal((await get(emulator, v2)).status, 405);
});

test('E1: publishes discovery and keys that verify its tokens, also after a roll', async (context) => {
  const emulator = await emulate(context, { running: true });
  const before = tokenOf(await signIn(emulator));
  const discovered = (await get(emulator, `/${tenant}/v2.0/.well-known/openid-configuration`)).json;
  const base = `${emulator.urls.entra}/${tenant}`;
  assert.deepEqual(
    [discovered.issuer, discovered.token_endpoint, discovered.jwks_uri],
    [`${base}/v2.0`, `${base}/oauth2/v2.0/token`, `${base}/discovery/v2.0/keys`],
  );
  const older = (await get(emulator, `/${tenant}/.well-known/openid-configuration`)).json;
  assert.deepEqual([older.issuer, older.token_endpoint], [`https://sts.windows.net/${tenant}/`, `${base}/oauth2/token`]);
  await emulator.act({ do: 'roll-keys' });
  const after = tokenOf(await signIn(emulator));
  const jwks: JSONWebKeySet = JSON.parse((await get(emulator, `/${tenant}/discovery/v2.0/keys`)).text);
  assert.equal(jwks.keys.length, 2);
  for (const token of [before, after]) {
    const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), { issuer: String(older.issuer), audience: armAudience });
    assert.deepEqual([payload.appid, payload.tid, payload.idtyp], [app.clientId, tenant, 'app']);
  }
});

test('E1: serves documents of "common" and issues no tokens for it', async (context) => {
  const emulator = await emulate(context);
  const found = (await get(emulator, '/common/discovery/instance?api-version=1.1&authorization_endpoint=x')).json;
  assert.equal(found.tenant_discovery_endpoint, `${emulator.urls.entra}/common/v2.0/.well-known/openid-configuration`);
  assert.equal(
    (await get(emulator, '/common/v2.0/.well-known/openid-configuration')).json.issuer,
    `${emulator.urls.entra}/{tenantid}/v2.0`,
  );
  assert.deepEqual(codeOf(await signIn(emulator, {}, '/common/oauth2/v2.0/token')), [400, 'invalid_request', 90002]);
  assert.equal((await get(emulator, `/${tenant}/nothing`)).status, 404);
});

test('E2: ignores fields that clients add, and returns their request id', async (context) => {
  const emulator = await emulate(context);
  const extra = {
    'x-client-SKU': 'msal.js.node',
    'x-client-VER': '7.2.1',
    'x-ms-lib-capability': 'retry-after, h429',
    'x-client-current-telemetry': '5|771,0,,,|,',
    'client-request-id': 'a',
  };
  const id = '99999999-9999-4999-8999-999999999999';
  assert.equal((await signIn(emulator, extra, `${v2}?client-request-id=${id}`)).status, 200);
  assert.equal((await signIn(emulator, { ...extra, client_secret: 'x' }, `${v2}?client-request-id=${id}`)).json.correlation_id, id);
});

test('E3: accepts a secret unless it is wrong, expired or of another app', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  assert.equal((await signIn(emulator)).status, 200);
  assert.deepEqual(codeOf(await signIn(emulator, { client_secret: 'wrong' })), [401, 'invalid_client', 7000215]);
  assert.deepEqual(codeOf(await signIn(emulator, { client_secret: 'old' })), [401, 'invalid_client', 7000222]);
  assert.deepEqual(codeOf(await signIn(emulator, { client_secret: 'other' })), [401, 'invalid_client', 7000215]);
});

test('E3: accepts a certificate by PS256, by RS256 and by its chain', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  const none = { 'x5t#S256': undefined };
  const x5c = [new X509Certificate(certified.cert).raw.toString('base64')];
  for (const header of [{}, { x5c }, { ...none, alg: 'RS256', x5t: digest('sha1') }, { ...none, x5c }]) {
    const reply = await signInWith(emulator, await assertion(emulator, { header }));
    assert.equal(claimsOf(tokenOf(reply)).appidacr, '2', JSON.stringify(header));
  }
  const stranger = await createSelfSigned('a stranger');
  const refused = [401, 'invalid_client', 700027];
  assert.deepEqual(codeOf(await signInWith(emulator, await assertion(emulator, { key: stranger.key }))), refused);
  assert.deepEqual(codeOf(await signInWith(emulator, await assertion(emulator, { header: { 'x5t#S256': 'AAAA' } }))), refused);
  assert.deepEqual(codeOf(await signInWith(emulator, await assertion(emulator, { header: { ...none } }))), refused);
});

test('E3: checks issuer, subject, audience and signature of a federated assertion', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  assert.equal((await signInWith(emulator, await foreign(emulator))).status, 200);
  assert.equal((await signInWith(emulator, await foreign(emulator, { aud: federation.audience }))).status, 200);
  const table: [Record<string, unknown>, number][] = [
    [{ iss: 'https://other.example' }, 700211],
    [{ sub: 'somebody' }, 700213],
    [{ aud: ['api://else'] }, 700212],
  ];
  for (const [claims, code] of table)
    assert.deepEqual(codeOf(await signInWith(emulator, await foreign(emulator, claims))), [401, 'invalid_client', code]);
  const stranger = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  assert.deepEqual(codeOf(await signInWith(emulator, await foreign(emulator, {}, 0, stranger))), [401, 'invalid_client', 700027]);
  const without = await emulate(context);
  assert.deepEqual(codeOf(await signInWith(without, await foreign(without))), [401, 'invalid_client', 70021]);
});

test('E4: accepts a token endpoint or the issuer as audience of an assertion', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  const { entra } = emulator.urls;
  for (const aud of [`${entra}${v2}`, `${entra}${v1}`, `${entra}/${tenant}/v2.0`, `https://sts.windows.net/${tenant}/`]) {
    assert.equal((await signInWith(emulator, await assertion(emulator, { claims: { aud } }))).status, 200, aud);
  }
  for (const aud of ['https://elsewhere.example', `${entra}/33333333-3333-4333-8333-333333333333/oauth2/v2.0/token`, undefined]) {
    assert.deepEqual(codeOf(await signInWith(emulator, await assertion(emulator, { claims: { aud } }))).slice(1), [
      'invalid_request',
      50027,
    ]);
  }
});

test('E4: accepts an assertion from nbf to exp, with five minutes of tolerance', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  const late = [401, 'invalid_client', 700024];
  for (const make of [(at: number) => assertion(emulator, { at }), (at: number) => foreign(emulator, {}, at)]) {
    for (const at of [-899, 299]) assert.equal((await signInWith(emulator, await make(at))).status, 200, String(at));
    for (const at of [-902, 302]) assert.deepEqual(codeOf(await signInWith(emulator, await make(at))), late, String(at));
  }
});

test('E4: refuses a repeated assertion when that is switched on', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  const once = await assertion(emulator);
  for (let count = 0; count < 2; count += 1) assert.equal((await signInWith(emulator, once)).status, 200);
  emulator.patchState({ settings: { entra: { refuseReplay: true } } });
  for (const one of [once, await foreign(emulator)]) {
    assert.equal((await signInWith(emulator, one)).status, 200);
    assert.deepEqual(codeOf(await signInWith(emulator, one)), [401, 'invalid_client', 700024]);
  }
});

test('E5: answers strings on v1 and numbers on v2, with an optional refresh_in', async (context) => {
  const emulator = await emulate(context);
  const old = (await signIn(emulator, { scope: null, resource: armAudience }, v1)).json;
  assert.ok(Object.values(old).every((value) => typeof value === 'string'));
  const seconds = Math.floor(emulator.clock.now() / 1000);
  assert.deepEqual(
    [old.expires_in, old.ext_expires_in, old.expires_on, old.not_before, old.resource],
    ['3599', '3599', String(seconds + 3599), String(seconds), armAudience],
  );
  const reply = (await signIn(emulator)).json;
  assert.deepEqual([reply.expires_in, reply.ext_expires_in, reply.token_type, reply.refresh_in], [3599, 3599, 'Bearer', undefined]);
  assert.equal(claimsOf(String(reply.access_token)).exp, seconds + 3599);
  emulator.patchState({ settings: { entra: { refreshInSeconds: 1800 } } });
  assert.equal((await signIn(emulator)).json.refresh_in, 1800);
});

test('E6: takes exactly one /.default off the scope', async (context) => {
  const emulator = await emulate(context);
  const table = [
    ['https://management.azure.com/.default', 'https://management.azure.com'],
    ['https://management.azure.com//.default', 'https://management.azure.com/'],
    ['api://x/.default/.default', 'api://x/.default'],
  ];
  for (const [scope = '', audience] of table) assert.equal(claimsOf(tokenOf(await signIn(emulator, { scope }))).aud, audience);
  for (const resource of ['https://management.azure.com/', 'api://x/.default'])
    assert.equal(claimsOf(tokenOf(await signIn(emulator, { scope: null, resource }, v1))).aud, resource);
});

test('E7: answers the documented errors with all fields', async (context) => {
  const emulator = await emulate(context, { state: manyWays() });
  emulator.patchState({ audiences: [armAudience] });
  const table: [Parameters<typeof signIn>[1], string, unknown[]][] = [
    [{ client_secret: 'wrong' }, v2, [401, 'invalid_client', 7000215]],
    [{ client_secret: 'old' }, v2, [401, 'invalid_client', 7000222]],
    [{ client_id: 'cccccccc-0000-4000-8000-00000000ffff' }, v2, [400, 'unauthorized_client', 700016]],
    [{ client_id: 'cccccccc-0000-4000-8000-000000000002', client_secret: 'other' }, v2, [400, 'unauthorized_client', 700016]],
    [{}, '/44444444-4444-4444-8444-444444444444/oauth2/v2.0/token', [400, 'invalid_request', 90002]],
    [{ scope: 'https://unknown.example/.default' }, v2, [400, 'invalid_resource', 500011]],
    [{ scope: null, resource: 'https://unknown.example' }, v1, [400, 'invalid_resource', 500011]],
    [{ scope: 'https://management.azure.com/user_impersonation' }, v2, [400, 'invalid_scope', 1002012]],
    [{ scope: 'a/.default b/.default' }, v2, [400, 'invalid_scope', 70011]],
    [{ client_secret: null }, v2, [401, 'invalid_client', 7000218]],
    [{ grant_type: 'password' }, v2, [400, 'unsupported_grant_type', 70003]],
    [{ grant_type: null }, v2, [400, 'invalid_request', 900144]],
    [{ client_id: null }, v2, [400, 'invalid_request', 900144]],
    [{ scope: null }, v2, [400, 'invalid_request', 900144]],
    [{ client_secret: null, client_assertion: 'x', client_assertion_type: 'y' }, v2, [400, 'invalid_request', 900144]],
    [{ client_secret: null, client_assertion: 'not.a.jwt', client_assertion_type: assertionType }, v2, [400, 'invalid_request', 50027]],
  ];
  for (const [form, path, expected] of table) {
    const reply = await signIn(emulator, form, path);
    assert.deepEqual(codeOf(reply), expected, reply.text);
    assert.match(
      String(reply.json.error_description),
      new RegExp(
        `^AADSTS${String(expected[2])}: .* Trace ID: ${String(reply.json.trace_id)} Correlation ID: ${String(reply.json.correlation_id)}`,
      ),
    );
    assert.match(String(reply.json.timestamp), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ$/);
    assert.equal(reply.json.error_uri, `https://login.microsoftonline.com/error?code=${String(expected[2])}`);
  }
});

test('E7: answers errors that only Entra decides on, by a fault', async (context) => {
  const emulator = await emulate(context);
  const table: [number, number, string][] = [
    [90033, 503, 'temporarily_unavailable'],
    [90055, 429, 'temporarily_unavailable'],
    [50196, 400, 'invalid_grant'],
    [50001, 400, 'invalid_resource'],
    [700024, 401, 'invalid_client'],
  ];
  for (const [aadsts, status, error] of table) {
    emulator.addFault({ fault: 'entra-error', aadsts, retryAfter: 30 });
    const reply = await signIn(emulator);
    assert.deepEqual([...codeOf(reply), reply.headers['retry-after']], [status, error, aadsts, '30']);
    assert.equal((await signIn(emulator)).status, 200, 'once');
  }
});
