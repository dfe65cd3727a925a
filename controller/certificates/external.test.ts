import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import type { CertificateSource } from '../../lib/tls/certificate-source.ts';
import { dayMs } from '../../lib/tls/issue.ts';
import type { TestAuthority } from '../../lib/tls/testing/certificates.ts';
import { createTestAuthority } from '../../lib/tls/testing/certificates.ts';
import type { ExternalCertificates } from './external.ts';
import { readExternal, watchExternal } from './external.ts';

const now = new Date();

describe('certificates of others', () => {
  let folder: string;
  let ca: TestAuthority;
  let other: TestAuthority;
  let external: ExternalCertificates;

  const sourceOf = (server: 'webhook' | 'broker', mode: CertificateSource['mode'] = 'provided'): CertificateSource => ({
    mode,
    namespace: 'system',
    secret: `${server}-tls`,
    chartValue: `certificates.provided.${server}Secret`,
    dnsName: `${server}.system.svc`,
  });
  /** As kubelet mounts a Secret. */
  const mount = (server: string, files: Record<string, string>) => {
    rmSync(path.join(folder, server), { recursive: true, force: true });
    mkdirSync(path.join(folder, server));
    for (const [name, text] of Object.entries(files)) writeFileSync(path.join(folder, server, name), text);
  };
  const mountGood = async (server: 'webhook' | 'broker', authority = ca) =>
    mount(server, { 'tls.crt': (await authority.issue(`${server}.system.svc`)).certificate, 'ca.crt': authority.certificate });
  const problem = (changes: Partial<ExternalCertificates> = {}, at = now) => readExternal({ ...external, ...changes }, at).problem ?? '';

  before(async () => {
    folder = mkdtempSync(path.join(tmpdir(), 'certificates-'));
    [ca, other] = [await createTestAuthority(), await createTestAuthority()];
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  beforeEach(async () => {
    external = { directory: folder, caBundle: '', servers: { webhook: sourceOf('webhook'), broker: sourceOf('broker') } };
    await mountGood('webhook');
    await mountGood('broker');
  });

  it('give the CA of both Secrets once, as their ca.crt has it', () => {
    assert.deepEqual(readExternal(external, now), { bundle: ca.certificate });
  });

  it('give both CAs where the Secrets have different ones', async () => {
    await mountGood('broker', other);
    assert.deepEqual(readExternal(external, now), { bundle: ca.certificate + other.certificate });
  });

  it('give the CAs of the value instead of ca.crt', () => {
    const caBundle = other.certificate + ca.certificate;
    assert.deepEqual(readExternal({ ...external, caBundle }, now), { bundle: caBundle });
  });

  it('are refused with Secret, key and chart value', async () => {
    const remedy = ': correct the Secret, or name another one by certificates.provided.brokerSecret';
    const { certificate } = await ca.issue('broker.system.svc');
    const cases: [Record<string, string>, string][] = [
      [{}, 'is missing, or has no tls.crt (kubelet mounts a new one within two minutes)'],
      [{ 'tls.crt': 'x' }, 'has no certificate in tls.crt'],
      [{ 'tls.crt': certificate }, 'has no ca.crt, and certificates.provided.caBundle is not set'],
      [{ 'tls.crt': certificate, 'ca.crt': 'x' }, 'needs a CA, and ca.crt holds no certificate in PEM'],
      [{ 'tls.crt': certificate, 'ca.crt': other.certificate }, 'has a certificate in tls.crt that the CAs in ca.crt do not verify'],
      [
        { 'tls.crt': (await ca.issue('x.test')).certificate, 'ca.crt': ca.certificate },
        'has a certificate in tls.crt for DNS:x.test, which must be for DNS:broker.system.svc',
      ],
    ];
    for (const [files, text] of cases) {
      mount('broker', files);
      assert.equal(problem(), `Secret system/broker-tls ${text}${remedy}`);
    }
  });

  it('are refused after their end, and where the value does not verify them', () => {
    assert.match(problem({}, new Date(now.getTime() + 91 * dayMs)), /^Secret system\/webhook-tls has .* expired since/);
    assert.match(problem({ caBundle: other.certificate }), /CAs in certificates\.provided\.caBundle do not verify/);
  });

  it('of cert-manager name the command that shows why', () => {
    rmSync(path.join(folder, 'broker'), { recursive: true });
    const servers = { webhook: sourceOf('webhook', 'cert-manager'), broker: sourceOf('broker', 'cert-manager') };
    assert.match(problem({ servers }), /cert-manager issues it: kubectl describe certificates -n system$/);
  });

  it('are read again when kubelet exchanges the link to a mounted Secret', async () => {
    const [first, second] = ['..1', '..2'].map((name) => path.join(folder, name));
    assert.ok(first !== undefined && second !== undefined);
    for (const [target, authority] of [
      [first, ca],
      [second, other],
    ] as const) {
      mkdirSync(target);
      writeFileSync(path.join(target, 'tls.crt'), (await authority.issue('broker.system.svc')).certificate);
      writeFileSync(path.join(target, 'ca.crt'), authority.certificate);
    }
    const link = path.join(folder, 'broker');
    const exchange = (target: string) => {
      rmSync(link, { recursive: true });
      symlinkSync(target, link);
    };
    exchange(first);
    const { promise, resolve } = Promise.withResolvers<void>();
    const unwatch = watchExternal(external, resolve);
    // The watch looks for the first time at a moment that nobody is told, and what it sees then is no change to it. So the link changes again and again.
    let target = second;
    exchange(target);
    const again = setInterval(() => {
      target = target === first ? second : first;
      exchange(target);
    }, 3_000);
    await promise;
    clearInterval(again);
    unwatch();
    exchange(second);
    assert.deepEqual(readExternal(external, now), { bundle: ca.certificate + other.certificate });
  });
});
