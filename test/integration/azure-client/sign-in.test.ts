// Every way in which the controller signs in, up to an answer of Resource Manager.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { renameSync, symlinkSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { SignJWT } from 'jose';
import { version } from '../../../api/version.ts';
import { createClientCertificate, pkcs12Of } from '../../../lib/azure/auth/testing/client-certificate.ts';
import { stringAt } from '../../../lib/kube/objects.ts';
import { app, clientIds, pool1, tenant } from '../azure/fixtures.ts';
import { connected, errorOf, quickAzure, requests, scopeOf } from './harness.ts';

const pool = scopeOf(pool1);
const application = { tenantId: tenant, clientId: app.clientId };

function put(folder: string, name: string, content: string | Buffer): string {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
}

test('signs in with a client secret, once for many calls', async (t) => {
  const { compute, emulator } = await connected(t);
  await Promise.all([compute.read(pool), compute.read(pool), compute.read(pool)]);
  const entra = emulator.log.list().flatMap((entry) => (entry.kind === 'request' && entry.service === 'entra' ? [entry.method] : []));
  assert.deepEqual(entra, ['POST']);
});

test('reports a wrong secret with the code of Entra, and logs no secret', async (t) => {
  const { compute, logged } = await connected(t, quickAzure(), (_, folder) => ({
    ...application,
    clientSecretFile: put(folder, 'wrong', 'hunter2'),
  }));
  const error = await errorOf(compute.read(pool));
  assert.equal(error.failure.code, 'signInFailed');
  assert.match(error.message, /AADSTS7000215/);
  assert.doesNotMatch(error.message + logged.join(''), /hunter2|eyJ/);
});

test('signs in with a certificate, as PEM and as PKCS#12', async (t) => {
  const made = createClientCertificate();
  const state = quickAzure({}, { apps: [{ clientId: app.clientId, certificates: [made.certificate] }] });
  const byPem = await connected(t, state, (_, folder) => ({
    ...application,
    clientCertificateFile: put(folder, 'client.pem', made.certificate + made.key),
  }));
  await byPem.compute.read(pool);
  const byPkcs12 = await connected(t, state, (_, folder) => ({
    ...application,
    clientCertificateFile: put(folder, 'client.pfx', pkcs12Of(made, 'password')),
    clientCertificatePasswordFile: put(folder, 'password', 'password\n'),
  }));
  await byPkcs12.compute.read(pool);
});

test('signs in with a projected service account token', async (t) => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const publicPem = publicKey.export({ type: 'spki', format: 'pem' }).toString();
  const issuer = 'https://cluster.example';
  const subject = 'system:serviceaccount:default:controller';
  const state = quickAzure(
    {},
    { apps: [{ clientId: app.clientId, federated: [{ issuer, subject }] }], issuers: [{ issuer, keys: [publicPem] }] },
  );
  const token = await new SignJWT()
    .setProtectedHeader({ alg: 'RS256' })
    .setIssuer(issuer)
    .setSubject(subject)
    .setAudience('api://AzureADTokenExchange')
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(privateKey);
  const { compute } = await connected(t, state, (_, folder) => ({ ...application, federatedTokenFile: put(folder, 'token', token) }));
  await compute.read(pool);
});

test("signs in as the node's managed identity, named and as the only one", async (t) => {
  for (const userAssignedMsiClientId of [clientIds.reader, '']) {
    const { compute, emulator } = await connected(t, quickAzure(), () => ({ useMsi: true, userAssignedMsiClientId }));
    await compute.read(pool);
    assert.equal(requests(emulator, 'GET').length, 1);
  }
});

test('reports a managed identity that is not on the node', async (t) => {
  const { compute } = await connected(t, quickAzure(), () => ({ useMsi: true, userAssignedMsiClientId: clientIds.writer }));
  const error = await errorOf(compute.read(pool));
  assert.equal(error.failure.code, 'signInFailed');
  assert.match(error.message, /Identity not found/);
});

test('reads azure.json again at the next call after a change', async (t) => {
  const apps = ['one', 'two', 'three', 'four'].map((secret, index) => ({
    clientId: app.clientId.replace(/.$/, String(index + 1)),
    secrets: [secret],
  }));
  let folder = '';
  const contentOf = (index: number) =>
    JSON.stringify({ tenantId: tenant, aadClientId: apps[index]?.clientId, aadClientSecret: apps[index]?.secrets[0] });
  const { compute, emulator, logged } = await connected(t, quickAzure({}, { apps }), (_, where) => {
    folder = where;
    return { cloudConfig: put(where, 'azure.json', contentOf(0)) };
  });
  const signedIn = () =>
    emulator.log.list().flatMap((entry) => {
      const form = entry.kind === 'request' && entry.service === 'entra' ? entry.body : undefined;
      return form === undefined ? [] : [stringAt(form, 'client_id')];
    });
  await compute.read(pool);
  await compute.read(pool);
  const file = path.join(folder, 'azure.json');
  writeFileSync(file, contentOf(1));
  await compute.read(pool);
  renameSync(put(folder, 'next', contentOf(2)), file);
  await compute.read(pool);
  // What the kubelet does with a Secret.
  put(folder, 'linked', contentOf(3));
  symlinkSync('linked', path.join(folder, 'link'));
  renameSync(path.join(folder, 'link'), file);
  await compute.read(pool);
  writeFileSync(file, '{"tenantId":');
  await compute.read(pool);
  assert.deepEqual(
    signedIn(),
    apps.map(({ clientId }) => clientId),
  );
  assert.equal(requests(emulator, 'GET').length, 6);
  assert.doesNotMatch(logged.join(''), /aadClientSecret|"(one|two|three|four)"/);
});

test('sends one user agent to Resource Manager, Entra and IMDS', async (t) => {
  const expected = `aad-pod-identity/controller/${version} fleet 7`;
  const byApplication = await connected(t, quickAzure(), (_, folder) => ({
    ...application,
    clientSecretFile: put(folder, 'own', app.secret),
    customUserAgent: ' fleet 7 ',
  }));
  for (let calls = 0; calls < 3; calls += 1) await byApplication.compute.read(pool);
  const byNode = await connected(t, quickAzure(), () => ({ useMsi: true, customUserAgent: 'fleet 7' }));
  await byNode.compute.read(pool);
  const agents = [byApplication, byNode].flatMap(({ emulator }) =>
    emulator.log.list().flatMap((entry) => (entry.kind === 'request' ? [`${entry.service} ${entry.headers['user-agent']}`] : [])),
  );
  assert.deepEqual([...new Set(agents.map((agent) => agent.split(' ')[0]))].sort(), ['arm', 'entra', 'imds']);
  for (const agent of agents) {
    assert.ok(agent.slice(agent.indexOf(' ') + 1).startsWith(expected), agent);
    assert.equal(agent.split('fleet').length, 2, 'it does not grow');
  }
});
