import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { connect, createServer } from 'node:tls';
import { dayMs, generateKey, issueAuthority, issueLeaf, serviceNames } from './issue.ts';
import type { KeyPair } from './key-pair.ts';

const endOf = ({ certificate }: KeyPair) => new X509Certificate(certificate).validToDate.getTime();
const now = new Date('2026-03-01T00:00:00Z');
const context = async () => ({ now, key: await generateKey(), serial: randomBytes(16) });

test('issues a CA for ten years', async () => {
  const { certificate } = issueAuthority(await context());
  const parsed = new X509Certificate(certificate);
  assert.equal(parsed.ca, true);
  assert.equal(parsed.validToDate.getTime() - now.getTime(), 3650 * dayMs);
  assert.ok(parsed.validFromDate < now, 'a verifier whose clock is behind must accept it');
  assert.match(parsed.subject, /^CN=aad-pod-identity CA [0-9a-f]{16}$/);
});

test('makes a positive serial number of full length from any random bytes', async () => {
  const key = await generateKey();
  for (const serial of [new Uint8Array(16), new Uint8Array(16).fill(0xff)]) {
    const parsed = new X509Certificate(issueAuthority({ now, key, serial }).certificate);
    assert.match(parsed.serialNumber, /^[4-7][0-9A-F]{31}$/);
  }
});

test('issues a leaf for every name of a Service that TLS 1.3 clients verify', async (t) => {
  const [authority, other] = [issueAuthority(await context()), issueAuthority(await context())];
  const names = serviceNames('broker', 'identity');
  assert.deepEqual(names, ['broker.identity.svc', 'broker.identity.svc.cluster.local', 'broker.identity', 'broker']);
  const leaf = issueLeaf(authority, names, { ...(await context()), now: new Date() });
  const server = createServer({ cert: leaf.certificate, key: leaf.key }, (socket) => socket.end()).listen(0, '127.0.0.1');
  t.after(() => server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  for (const servername of names) {
    const socket = connect({ port, host: '127.0.0.1', servername, ca: other.certificate + authority.certificate, minVersion: 'TLSv1.3' });
    await once(socket, 'secureConnect');
    socket.destroy();
  }
  const wrong = connect({ port, host: '127.0.0.1', servername: 'broker.other.svc', ca: authority.certificate });
  const [refused] = (await once(wrong, 'error')) as [NodeJS.ErrnoException];
  assert.equal(refused.code, 'ERR_TLS_CERT_ALTNAME_INVALID');
  const untrusted = connect({ port, host: '127.0.0.1', servername: names[0] ?? '', ca: other.certificate });
  await once(untrusted, 'error');
});

test('ends a leaf with its CA at the latest', async () => {
  const authority = issueAuthority(await context());
  const end = endOf(authority);
  const late = new Date(end - 5 * dayMs);
  const leaf = issueLeaf(authority, ['a'], { ...(await context()), now: late });
  assert.equal(endOf(leaf), end);
});

test('issues a leaf for names of 63 characters', async () => {
  const authority = issueAuthority(await context());
  const names = serviceNames('s'.repeat(63), 'n'.repeat(63));
  const leaf = issueLeaf(authority, names, await context());
  assert.equal(new X509Certificate(leaf.certificate).checkHost(names[0] ?? ''), names[0]);
});

test('issues over P-256 keys, for digital signatures only', async () => {
  const authority = issueAuthority(await context());
  const leaf = new X509Certificate(issueLeaf(authority, ['a'], await context()).certificate);
  assert.equal(leaf.publicKey.asymmetricKeyDetails?.namedCurve, 'prime256v1');
  assert.deepEqual(leaf.keyUsage, ['1.3.6.1.5.5.7.3.1']);
  assert.equal(leaf.subjectAltName, 'DNS:a');
  assert.ok(leaf.checkIssued(new X509Certificate(authority.certificate)));
  // Extension KeyUsage, critical, with the only bit digitalSignature.
  assert.ok(leaf.raw.includes(Buffer.from('0603551d0f0101ff040403020780', 'hex')));
});

test('signs with the RSA key of an older CA', async () => {
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  const authority = issueAuthority({ ...(await context()), key: rsa });
  const ca = new X509Certificate(authority.certificate);
  const leaf = new X509Certificate(issueLeaf(authority, ['a'], await context()).certificate);
  assert.ok(ca.verify(ca.publicKey) && leaf.verify(ca.publicKey) && leaf.checkIssued(ca));
});
