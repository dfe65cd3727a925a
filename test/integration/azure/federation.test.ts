// Federated credentials and the exchange of foreign tokens: rows F1 to F11 of docs/emulator.md.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:https';
import { test } from 'node:test';
import type { JWTHeaderParameters } from 'jose';
import { SignJWT } from 'jose';
import { createServingCertificate } from '../../azure/core/certificates.ts';
import { isRecord } from '../../azure/core/messages.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { app, armAudience, clientIds, identityIds, idOf, smallAzure, subscription, tenant } from './fixtures.ts';
import type { TestContext } from './harness.ts';
import { emulate } from './harness.ts';
import type { Arm, Reply } from './requests.ts';
import { arm, claimsOf, errorOf, imds, propertiesOf, signIn, tokenOf } from './requests.ts';

const issuer = 'https://issuer.example/cluster/';
const subject = 'system:serviceaccount:aad-pod-identity:aad-pod-identity-broker';
const audience = 'api://AzureADTokenExchange';
const trust = { issuer, subject, audiences: [audience] };
const issuerKey = generateKeyPairSync('rsa', { modulusLength: 2048 });
const pem = issuerKey.publicKey.export({ format: 'pem', type: 'spki' }).toString();
const version = '2024-11-30';
const collection = `${idOf('writer')}/federatedIdentityCredentials`;

/** A small Azure without request limits that knows the key of the issuer. */
const federatedAzure = (changes: Record<string, unknown> = {}, settings: Record<string, unknown> = {}): Record<string, unknown> =>
  smallAzure({ issuers: [{ issuer, keys: [pem] }], settings: { limits: { arm: false }, ...settings }, ...changes });

const trusting = (federated: readonly object[] = [{ name: 'cluster', ...trust }], more: object = {}) => [
  { ...identityIds.reader },
  { ...identityIds.writer, federated, ...more },
];

function credentials(call: Arm) {
  const at = (name: string) => `${collection}/${name}`;
  return {
    put: (name: string, properties: object = trust) => call('PUT', at(name), { properties }, { apiVersion: version }),
    get: (name: string) => call('GET', at(name), undefined, { apiVersion: version }),
    remove: (name: string) => call('DELETE', at(name), undefined, { apiVersion: version }),
    list: () => call('GET', collection, undefined, { apiVersion: version }),
  };
}

const namesIn = ({ json }: Reply): unknown[] =>
  Array.isArray(json.value) ? json.value.map((one: unknown) => (isRecord(one) ? one.name : one)) : [];

type Token = { header?: Partial<JWTHeaderParameters>; claims?: Record<string, unknown>; at?: number; key?: typeof issuerKey.privateKey };

/** The token of a service account. `at`: its time in seconds from now. */
function serviceAccountToken(emulator: Emulator, { header = {}, claims = {}, at = 0, key = issuerKey.privateKey }: Token = {}) {
  const now = Math.floor(emulator.clock.now() / 1000) + at;
  const body = { iss: issuer, sub: subject, aud: [audience], iat: now, nbf: now, exp: now + 3600, ...claims };
  return new SignJWT(body).setProtectedHeader({ alg: 'RS256', kid: 'one', ...header }).sign(key);
}

const exchange = (emulator: Emulator, client_assertion: string, form: Record<string, string | null> = {}, path?: string) =>
  signIn(
    emulator,
    {
      client_id: clientIds.writer,
      client_secret: null,
      client_assertion_type: 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer',
      client_assertion,
      ...form,
    },
    path,
  );

const codeOf = (reply: Reply) => (Array.isArray(reply.json.error_codes) ? reply.json.error_codes[0] : reply.status);

test('F1: creates, replaces, shows and deletes federated credentials', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure() });
  const { put, get, remove, list } = credentials(await arm(emulator));
  const made = await put('Cluster-1');
  assert.deepEqual([made.status, made.json.name, propertiesOf(made)], [201, 'Cluster-1', trust]);
  assert.equal(made.json.id, `${collection}/Cluster-1`);
  const replaced = await put('cluster-1', { ...trust, subject: 'other' });
  assert.deepEqual([replaced.status, replaced.json.name, propertiesOf(replaced).subject], [200, 'Cluster-1', 'other']);
  assert.equal(propertiesOf(await get('CLUSTER-1')).subject, 'other');
  assert.deepEqual(namesIn(await list()), ['Cluster-1']);
  assert.equal((await remove('cluster-1')).status, 200);
  assert.equal((await remove('cluster-1')).status, 204);
  assert.deepEqual([(await get('cluster-1')).status, namesIn(await list())], [404, []]);
});

test('F1: lists federated credentials in pages, each with a link to the next', async (context) => {
  const federated = ['aaa', 'bbb', 'ccc'].map((name) => ({ name, ...trust, subject: name }));
  const state = federatedAzure({ identities: trusting(federated) }, { arm: { credentialPageSize: 2 }, limits: { arm: false } });
  const emulator = await emulate(context, { state });
  const call = await arm(emulator);
  const first = await credentials(call).list();
  assert.deepEqual(namesIn(first), ['aaa', 'bbb']);
  const second = await call('GET', String(first.json.nextLink));
  assert.deepEqual([namesIn(second), second.json.nextLink], [['ccc'], undefined]);
});

test('F2: refuses bad names, missing properties and more than 600 characters', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure() });
  const { put, list } = credentials(await arm(emulator));
  for (const name of ['ab', '-abc', 'a.bc', `a${'b'.repeat(120)}`]) assert.equal((await put(name)).status, 400, name);
  const long = 'x'.repeat(601);
  const wrong = [
    {},
    { issuer, subject },
    { ...trust, issuer: '' },
    { ...trust, audiences: [] },
    { ...trust, audiences: audience },
    { ...trust, audiences: [1] },
    { ...trust, subject: long },
    { ...trust, issuer: `https://${long}` },
  ];
  for (const properties of wrong) assert.equal((await put('name', properties)).status, 400, JSON.stringify(properties).slice(0, 60));
  assert.deepEqual(namesIn(await list()), []);
  assert.equal((await put(`a${'b'.repeat(119)}`, { ...trust, subject: 'x'.repeat(600) })).status, 201);
});

test('F3: refuses a 21st credential of an identity', async (context) => {
  const federated = Array.from({ length: 20 }, (_, index) => ({ name: `name-${index}`, ...trust, subject: `s${index}` }));
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting(federated) }) });
  const { put, remove } = credentials(await arm(emulator));
  const refused = errorOf(await put('one-more'));
  assert.deepEqual([refused.status, refused.code], [400, 'BadRequest']);
  assert.match(refused.message, /maximum of 20/);
  assert.equal((await put('name-3')).status, 200, 'one of the twenty can be replaced');
  await remove('name-4');
  assert.equal((await put('one-more', { ...trust, subject: 'new' })).status, 201);
});

test('F3: refuses issuer and subject that the identity has under another name', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const { put } = credentials(await arm(emulator));
  const refused = errorOf(await put('another', { ...trust, audiences: ['api://other'] }));
  assert.equal(refused.status, 409);
  assert.match(refused.message, /^Issuer and subject combination already exists/);
  assert.equal((await put('another', { ...trust, subject: subject.toUpperCase() })).status, 201, 'compared with case');
});

test('F3: refuses a write of an identity while another one is under way', async (context) => {
  const state = federatedAzure({}, { arm: { credentialWriteMs: 300 }, limits: { arm: false } });
  const emulator = await emulate(context, { state });
  const { put, remove, list } = credentials(await arm(emulator));
  const first = put('first');
  await emulator.log.waitFor((entry) => entry.kind === 'request' && entry.method === 'PUT');
  for (const second of [await put('second', { ...trust, subject: 'b' }), await remove('first')])
    assert.deepEqual([second.status, errorOf(second).code], [409, 'ConcurrentFederatedIdentityCredentialsWritesForSingleManagedIdentity']);
  emulator.clock.advance(300);
  assert.equal((await first).status, 201);
  emulator.clock.run();
  assert.equal((await put('second', { ...trust, subject: 'b' })).status, 201);
  emulator.addFault({ fault: 'concurrent-credentials' });
  assert.equal((await remove('second')).status, 409);
  assert.deepEqual(namesIn(await list()), ['first', 'second']);
});

test('F4: asks for a right for each action, on the credential or above it', async (context) => {
  const rightTo = (...verbs: string[]) => ({
    principal: app.clientId,
    scope: `/subscriptions/${subscription}/resourceGroups/nodes`,
    actions: verbs.map((verb) => `Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/${verb}`),
  });
  const emulator = await emulate(context, { state: federatedAzure() });
  const call = await arm(emulator);
  const { put, get, remove, list } = credentials(call);
  const statuses = async () => [
    (await put('name')).status,
    (await get('name')).status,
    (await list()).status,
    (await remove('name')).status,
  ];
  const table: [object[], number[]][] = [
    [[rightTo('read')], [403, 404, 200, 403]],
    [[rightTo('write')], [201, 403, 403, 403]],
    [[rightTo('delete')], [403, 403, 403, 200]],
    [[rightTo('read', 'write', 'delete')], [201, 200, 200, 200]],
    [[{ principal: app.clientId, scope: idOf('writer'), role: 'Managed Identity Contributor' }], [201, 200, 200, 200]],
    [[{ principal: app.clientId, scope: idOf('writer'), role: 'Managed Identity Operator' }], [403, 403, 403, 403]],
    [[{ principal: app.clientId, scope: idOf('reader'), role: 'Managed Identity Contributor' }], [403, 403, 403, 403]],
  ];
  for (const [roles, expected] of table) {
    emulator.patchState({ roles });
    assert.deepEqual(await statuses(), expected, JSON.stringify(roles));
  }
  const refused = errorOf(await put('name'));
  assert.match(refused.message, /'Microsoft\.ManagedIdentity\/userAssignedIdentities\/federatedIdentityCredentials\/write' over scope/);
});

test('F4: refuses credentials of an identity that does not exist', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure() });
  const call = await arm(emulator);
  const missing = `${idOf('nobody')}/federatedIdentityCredentials`;
  for (const [method, id] of [
    ['GET', missing],
    ['PUT', `${missing}/name`],
    ['DELETE', `${missing}/name`],
  ] as const)
    assert.deepEqual(errorOf(await call(method, id, method === 'PUT' ? { properties: trust } : undefined)).code, 'ParentResourceNotFound');
  assert.equal((await call('PATCH', `${collection}/name`, {})).status, 405);
  assert.equal((await call('DELETE', collection)).status, 405);
});

test('F4: meets the refusals that last until a person acts', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure() });
  const { put } = credentials(await arm(emulator));
  for (const [fault, code] of [
    ['scope-locked', 'ScopeLocked'],
    ['subscription-disabled', 'ReadOnlyDisabledSubscription'],
    ['policy-denied', 'RequestDisallowedByPolicy'],
    ['deny-assignment', 'DenyAssignmentAuthorizationFailed'],
  ] as const) {
    const id = emulator.addFault({ fault, resource: idOf('writer') });
    assert.equal(errorOf(await put('name')).code, code);
    emulator.removeFaults(id);
  }
});

test('F5: refuses credentials of an identity in a region without them', async (context) => {
  const state = federatedAzure(
    { identities: trusting([], { location: 'malaysiasouth' }) },
    { arm: { regionsWithoutFederation: ['malaysiasouth'] }, limits: { arm: false } },
  );
  const emulator = await emulate(context, { state });
  const refused = errorOf(await credentials(await arm(emulator)).put('name'));
  assert.deepEqual([refused.status, refused.code], [400, 'MethodNotAllowed']);
});

test('F5: allows one write in 4 s for each identity, after five at once', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({}, {}) });
  emulator.patchState({ settings: { limits: { arm: true } } });
  const call = await arm(emulator);
  const { put, get } = credentials(call);
  for (let count = 0; count < 5; count += 1) assert.ok((await put('name')).status < 300);
  const refused = await put('name');
  assert.deepEqual([refused.status, refused.headers['retry-after']], [429, '4']);
  assert.equal((await get('name')).status, 200, 'reads are not counted');
  const other = `${idOf('reader')}/federatedIdentityCredentials/name`;
  assert.equal((await call('PUT', other, { properties: trust })).status, 201, 'another identity has its own budget');
  emulator.clock.advance(4000);
  assert.equal((await put('name')).status, 200);
});

test('F6: exchanges a trusted token for one of the identity', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const reply = await exchange(emulator, await serviceAccountToken(emulator));
  const { oid, appid, tid, aud, xms_mirid: resourceId } = claimsOf(tokenOf(reply));
  assert.deepEqual([oid, appid, tid, aud], [identityIds.writer.principalId, clientIds.writer, tenant, armAudience]);
  assert.equal(resourceId, idOf('writer'));
  const single = await serviceAccountToken(emulator, { claims: { aud: audience } });
  assert.equal((await exchange(emulator, single)).status, 200, 'the audience as text');
});

test('F6: names which of issuer, subject and audience no credential has', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const table: [Record<string, unknown>, number][] = [
    [{ iss: 'https://other.example' }, 700211],
    [{ iss: issuer.replace(/\/$/, '') }, 700211],
    [{ aud: ['https://kubernetes.default.svc'] }, 700212],
    [{ sub: 'system:serviceaccount:default:default' }, 700213],
    [{ sub: 'system:serviceaccount:aad-pod-identity:AAD-pod-identity-broker' }, 7002138],
  ];
  for (const [claims, code] of table) {
    const reply = await exchange(emulator, await serviceAccountToken(emulator, { claims }));
    assert.deepEqual([reply.status, reply.json.error, codeOf(reply)], [401, 'invalid_client', code], JSON.stringify(claims));
  }
  const none = await exchange(emulator, await serviceAccountToken(emulator), { client_id: clientIds.reader });
  assert.equal(codeOf(none), 70021, 'an identity without credentials');
});

test('F6: refuses assertions of wrong algorithm, time or signature', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;
  const table: [Token, number][] = [
    [{ header: { alg: 'PS256' } }, 50027],
    [{ header: { alg: 'ES256' }, key: generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey }, 50027],
    [{ at: -3902 }, 700024],
    [{ at: 302 }, 700024],
    [{ key: other }, 700027],
  ];
  for (const [token, code] of table)
    assert.equal(codeOf(await exchange(emulator, await serviceAccountToken(emulator, token))), code, JSON.stringify(token.header));
  assert.equal(codeOf(await exchange(emulator, 'x.y')), 50027);
  const unsigned = `${(await serviceAccountToken(emulator)).split('.').slice(0, 2).join('.')}.AAAA`;
  assert.equal(codeOf(await exchange(emulator, unsigned)), 700027);
});

test('F6: knows the client only in its tenant, and no secret of an identity', async (context) => {
  const other = '33333333-3333-4333-8333-333333333333';
  const tenants = [{ id: tenant }, { id: other }];
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting(), tenants }) });
  const token = await serviceAccountToken(emulator);
  assert.equal(codeOf(await exchange(emulator, token, { client_id: 'aaaaaaaa-0000-4000-8000-00000000ffff' })), 700016);
  assert.equal(codeOf(await exchange(emulator, token, {}, `/${other}/oauth2/v2.0/token`)), 700016);
  assert.equal(codeOf(await exchange(emulator, token, {}, '/44444444-4444-4444-8444-444444444444/oauth2/v2.0/token')), 90002);
  assert.equal(codeOf(await exchange(emulator, token, { client_assertion: null, client_secret: app.secret })), 7000215);
});

test('F6: judges the credential before scope and resource', async (context) => {
  const state = federatedAzure({ identities: trusting(), audiences: [armAudience] });
  const emulator = await emulate(context, { state });
  const [good, bad] = [await serviceAccountToken(emulator), await serviceAccountToken(emulator, { claims: { sub: 'x' } })];
  for (const [scope, code] of [
    ['https://unknown.example/.default', 500011],
    ['https://management.azure.com', 1002012],
    ['a/.default b/.default', 70011],
  ] as const) {
    assert.equal(codeOf(await exchange(emulator, good, { scope })), code);
    assert.equal(codeOf(await exchange(emulator, bad, { scope })), 700213);
  }
});

/** An issuer that serves its documents over https, as a cluster does. */
async function startIssuer(context: TestContext) {
  const { ca, cert, key } = await createServingCertificate(['127.0.0.1']);
  const asked: string[] = [];
  const documents: Record<string, unknown> = {};
  const server = createServer({ cert, key }, (request, response) => {
    asked.push(String(request.url));
    const document = documents[String(request.url)];
    response.writeHead(document === undefined ? 404 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify(document ?? {}));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  context.after(() => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const url = `https://127.0.0.1:${address.port}`;
  const publish = (name: string, keys: Record<string, typeof issuerKey.publicKey>) => {
    documents['/.well-known/openid-configuration'] = { issuer: name, jwks_uri: `${url}/keys` };
    documents['/keys'] = { keys: Object.entries(keys).map(([kid, one]) => ({ ...one.export({ format: 'jwk' }), kid })) };
  };
  return { url, ca, asked, documents, publish };
}

test('F7: fetches the keys of the issuer once, and again for a new key', async (context) => {
  const served = await startIssuer(context);
  served.publish(served.url, { one: issuerKey.publicKey });
  const identities = trusting([{ name: 'cluster', ...trust, issuer: served.url }]);
  const emulator = await emulate(context, { state: smallAzure({ identities }), issuerCa: served.ca });
  const ask = async (token: Token = {}) =>
    codeOf(await exchange(emulator, await serviceAccountToken(emulator, { ...token, claims: { iss: served.url, ...token.claims } })));
  assert.deepEqual(await Promise.all([ask(), ask(), ask()]), [200, 200, 200]);
  assert.equal(await ask(), 200);
  assert.deepEqual(served.asked, ['/.well-known/openid-configuration', '/keys']);
  const next = generateKeyPairSync('rsa', { modulusLength: 2048 });
  assert.equal(await ask({ header: { kid: 'two' }, key: next.privateKey }), 700027, 'a key that the issuer does not publish');
  served.publish(served.url, { one: issuerKey.publicKey, two: next.publicKey });
  assert.equal(await ask({ header: { kid: 'two' }, key: next.privateKey }), 200);
  assert.equal(await ask({ header: { kid: 'two' } }), 700027, 'signed by the key of another id');
});

test('F7: cannot exchange while the issuer gives no keys', async (context) => {
  const served = await startIssuer(context);
  const identities = trusting([{ name: 'cluster', ...trust, issuer: served.url }]);
  const state = smallAzure({ identities });
  const emulator = await emulate(context, { state, issuerCa: served.ca });
  const ask = async (one = emulator, iss = served.url) => codeOf(await exchange(one, await serviceAccountToken(one, { claims: { iss } })));
  assert.equal(await ask(), 90061, 'no document');
  served.publish('https://another.example', { one: issuerKey.publicKey });
  assert.equal(await ask(), 90061, 'the document of another issuer');
  served.documents['/.well-known/openid-configuration'] = { issuer: served.url, jwks_uri: 'http://127.0.0.1:1/keys' };
  assert.equal(await ask(), 90061, 'keys over plain http');
  served.publish(served.url, { one: issuerKey.publicKey });
  assert.equal(await ask(), 200);
  const distrusting = await emulate(context, { state });
  assert.equal(await ask(distrusting), 90061, 'a certificate that is not trusted');
  const asked = served.asked.length;
  assert.equal(await ask(emulator, 'https://127.0.0.1:1'), 700211, 'an issuer that nobody trusts is not asked');
  assert.equal(served.asked.length, asked);
});

test('F7: fetches the documents of an issuer from another address by its state', async (context) => {
  const served = await startIssuer(context);
  served.publish(issuer, { one: issuerKey.publicKey });
  const state = smallAzure({ identities: trusting(), issuers: [{ issuer, url: served.url }] });
  const emulator = await emulate(context, { state, issuerCa: served.ca });
  assert.equal(codeOf(await exchange(emulator, await serviceAccountToken(emulator))), 200);
});

test('F8: knows a credential only after a delay, and forgets it so', async (context) => {
  const settings = { limits: { arm: false }, entra: { credentialPropagationMs: 60_000 } };
  const emulator = await emulate(context, { state: federatedAzure({}, settings) });
  const { put, remove, get } = credentials(await arm(emulator));
  const ask = async () => codeOf(await exchange(emulator, await serviceAccountToken(emulator)));
  await put('cluster');
  assert.deepEqual([(await get('cluster')).status, await ask()], [200, 70021]);
  emulator.patchState({ audiences: null });
  emulator.clock.advance(59_999);
  assert.equal(await ask(), 70021);
  emulator.clock.advance(1);
  assert.equal(await ask(), 200);
  await put('cluster', { ...trust, subject: 'other' });
  assert.equal(await ask(), 200, 'the old trust');
  emulator.clock.advance(60_000);
  assert.equal(await ask(), 700213);
  await remove('cluster');
  assert.equal(await ask(), 700213);
  emulator.clock.advance(60_000);
  assert.equal(await ask(), 70021);
});

test('F8: can fail again after a success, since its replicas learn apart', async (context) => {
  const settings = { limits: { arm: false }, entra: { credentialPropagationMs: { min: 0, max: 60_000 }, replicas: 4 } };
  const emulator = await emulate(context, { state: federatedAzure({}, settings), seed: 3 });
  await credentials(await arm(emulator)).put('cluster');
  const token = await serviceAccountToken(emulator);
  const asked = async () => {
    const codes: unknown[] = [];
    for (let count = 0; count < 40; count += 1) codes.push(codeOf(await exchange(emulator, token)));
    return codes;
  };
  emulator.clock.advance(30_000);
  const codes = await asked();
  assert.ok(codes.lastIndexOf(70021) > codes.indexOf(200) && codes.includes(200), codes.join(' '));
  emulator.clock.advance(30_000);
  assert.deepEqual(new Set(await asked()), new Set([200]));
});

test('F9: gives identities tokens of 24 hours and applications of one hour', async (context) => {
  const apps = [{ clientId: app.clientId, secrets: [app.secret], federated: [{ issuer, subject, audience }] }];
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting(), apps }) });
  const token = await serviceAccountToken(emulator);
  const ofIdentity = (await exchange(emulator, token)).json;
  const ofApp = (await exchange(emulator, token, { client_id: app.clientId })).json;
  assert.deepEqual([ofIdentity.expires_in, ofApp.expires_in], [86_400, 3599]);
  const { iat, exp } = claimsOf(String(ofIdentity.access_token));
  assert.equal(Number(exp) - Number(iat), 86_400);
});

test('F9: gives an identity the claims of IMDS without xms_az_rid', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  emulator.patchState({ imds: { vm: 'alone' }, virtualMachines: [{ name: 'alone', identity: { type: 'UserAssigned', ids: ['writer'] } }] });
  const fromImds = claimsOf(tokenOf(await imds(emulator.urls.imds)));
  const exchanged = claimsOf(tokenOf(await exchange(emulator, await serviceAccountToken(emulator))));
  const names = (claims: object) => Object.keys(claims).filter((name) => name !== 'xms_az_rid');
  assert.deepEqual([names(exchanged), 'xms_az_rid' in exchanged], [names(fromImds), false]);
  assert.match(String(fromImds.xms_az_rid), /\/virtualMachines\/alone$/);
});

test('F10: gives no token to a disabled identity or against Conditional Access', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const ask = async (claims = {}) => codeOf(await exchange(emulator, await serviceAccountToken(emulator, { claims })));
  emulator.patchState({ identities: trusting(undefined, { disabled: true }) });
  assert.equal(await ask(), 7000112);
  emulator.patchState({ identities: trusting(undefined, { blocked: true }) });
  assert.equal(await ask(), 53003);
  assert.equal(await ask({ sub: 'x' }), 700213, 'the credential is judged first');
});

test('F10: sees a loop where the same token is asked for too often', async (context) => {
  const settings = { limits: { arm: false }, entra: { loopAfter: 3 } };
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }, settings) });
  const token = await serviceAccountToken(emulator);
  const codes = [];
  for (let count = 0; count < 4; count += 1) codes.push(codeOf(await exchange(emulator, token)));
  assert.deepEqual(codes, [200, 200, 200, 50196]);
  assert.equal(codeOf(await exchange(emulator, token, { scope: 'https://vault.azure.net/.default' })), 200, 'another resource');
  emulator.clock.advance(5 * 60_000);
  assert.equal(codeOf(await exchange(emulator, token)), 200);
});

test('F10: answers every error of an exchange by a fault', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const token = await serviceAccountToken(emulator);
  const codes = [
    700211, 700212, 700213, 70021, 7002138, 90061, 700024, 700016, 90002, 500011, 7000112, 53003, 1002012, 70011, 50196, 90033, 90055,
  ];
  for (const aadsts of codes) {
    emulator.addFault({ fault: 'entra-error', aadsts, identity: idOf('writer') });
    const reply = await exchange(emulator, token);
    assert.equal(codeOf(reply), aadsts);
    assert.ok(reply.status >= 400 && typeof reply.json.error === 'string');
    assert.equal((await exchange(emulator, token)).status, 200, 'once');
  }
});

test('F11: an identity that is made anew has other ids and no credentials', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure({ identities: trusting() }) });
  const call = await arm(emulator);
  const token = await serviceAccountToken(emulator);
  assert.equal(codeOf(await exchange(emulator, token)), 200);
  await emulator.act({ do: 'recreate-identity', identity: idOf('writer') });
  assert.equal(codeOf(await exchange(emulator, token)), 700016);
  const { clientId } = propertiesOf(await call('GET', idOf('writer')));
  assert.equal(codeOf(await exchange(emulator, token, { client_id: String(clientId) })), 70021);
  assert.deepEqual(namesIn(await credentials(call).list()), []);
});

test('F11: other writers add and delete credentials', async (context) => {
  const emulator = await emulate(context, { state: federatedAzure() });
  const { list } = credentials(await arm(emulator));
  const identity = idOf('writer');
  await emulator.act({ do: 'put-credential', identity, name: 'portal', ...trust });
  await emulator.act({ do: 'put-credential', identity, name: 'other', ...trust, subject: 'b' });
  assert.deepEqual(namesIn(await list()), ['portal', 'other']);
  assert.equal(codeOf(await exchange(emulator, await serviceAccountToken(emulator))), 200);
  await emulator.act({ do: 'delete-credential', identity, name: 'Portal' });
  assert.deepEqual(namesIn(await list()), ['other']);
  assert.equal(codeOf(await exchange(emulator, await serviceAccountToken(emulator))), 700213);
  await emulator.act({ do: 'delete-credential', identity, name: null });
  assert.deepEqual(namesIn(await list()), []);
});
