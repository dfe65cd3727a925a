import assert from 'node:assert/strict';
import { randomBytes, X509Certificate } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import { decodeSecretData, encodeSecretData } from '../../lib/kube/secret-data.ts';
import { silentLogger } from '../../lib/log.ts';
import { dayMs } from '../../lib/tls/issue.ts';
import type { TestAuthority } from '../../lib/tls/testing/certificates.ts';
import { createTestAuthority } from '../../lib/tls/testing/certificates.ts';
import type { ExternalCertificates } from './external.ts';
import { reconcileCertificates } from './reconciler.ts';
import { entryOf } from './testing/entries.ts';

const names = {
  ca: '/api/v1/namespaces/home/secrets/aad-pod-identity-ca',
  webhook: '/api/v1/namespaces/home/secrets/aad-pod-identity-webhook-tls',
  broker: '/api/v1/namespaces/home/secrets/aad-pod-identity-broker-tls',
  bundle: '/api/v1/namespaces/home/configmaps/aad-pod-identity-ca-bundle',
  configuration: '/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/hook',
};

/** Objects by path with optimistic concurrency, as the API server keeps them. */
function fakeCluster() {
  const objects = new Map<string, Record<string, unknown>>();
  const writes: string[] = [];
  let version = 0;
  /** Runs once, just before the next write: another writer. */
  let before: ((path: string) => void) | undefined;
  let failing = '';
  const put = (path: string, object: Record<string, unknown>) => {
    version += 1;
    const metadata = isRecord(object.metadata) ? object.metadata : {};
    objects.set(path, { ...object, metadata: { ...metadata, resourceVersion: String(version) } });
  };
  const client: KubeClient = {
    async call(method, path, options = {}) {
      const body = options.body;
      if (method === 'GET') {
        const found = objects.get(path);
        if (found === undefined) throw new KubeError(404, 'NotFound', `${path} not found`);
        return structuredClone(found);
      }
      const target = method === 'POST' ? `${path}/${stringAt(body, 'metadata', 'name') ?? ''}` : path;
      if (target === failing) throw new KubeError(403, 'Forbidden', 'no');
      const otherWriter = before;
      before = undefined;
      otherWriter?.(target);
      const existing = objects.get(target);
      if (method === 'POST') {
        if (existing !== undefined) throw new KubeError(409, 'AlreadyExists', 'exists');
        put(target, structuredClone(body) as Record<string, unknown>);
      } else {
        if (existing === undefined) throw new KubeError(404, 'NotFound', 'gone');
        const next = method === 'PUT' ? (structuredClone(body) as Record<string, unknown>) : patched(existing, body);
        if (stringAt(next, 'metadata', 'resourceVersion') !== stringAt(existing, 'metadata', 'resourceVersion'))
          throw new KubeError(409, 'Conflict', 'changed');
        put(target, next);
      }
      writes.push(target);
      return undefined;
    },
    watch: () => assert.fail('a reconciliation watches nothing'),
    close: async () => undefined,
  };
  return {
    client,
    objects,
    writes,
    put,
    interfere: (action: (path: string) => void) => {
      before = action;
    },
    failOn: (path: string) => {
      failing = path;
    },
  };
}

function patched(object: Record<string, unknown>, operations: unknown): Record<string, unknown> {
  const copy = structuredClone(object);
  for (const operation of operations as { op: string; path: string; value: unknown }[]) {
    assert.equal(operation.op, 'add');
    const keys = operation.path.split('/').slice(1);
    const last = keys.pop() ?? '';
    let here: unknown = copy;
    for (const key of keys) here = (here as Record<string, unknown>)[key];
    (here as Record<string, unknown>)[last] = operation.value;
  }
  return copy;
}

describe('reconcileCertificates', () => {
  let cluster: ReturnType<typeof fakeCluster>;
  let now: Date;
  let isServing: boolean;
  let external: ExternalCertificates | undefined;
  const entries = ['a', 'b'].map((name) => entryOf(name, 'home'));
  const reconcile = () =>
    reconcileCertificates(
      {
        client: cluster.client,
        log: silentLogger,
        namespace: 'home',
        webhookService: 'hook',
        brokerService: 'broker',
        webhookConfiguration: 'hook',
        webhookEntries: entries,
        external,
        clock: { ...createFakeClock(), wall: () => now.getTime() },
        random: randomBytes,
      },
      isServing,
      new AbortController().signal,
    );
  const secret = (path: string) => decodeSecretData(cluster.objects.get(path));
  const webhooks = () => (at(cluster.objects.get(names.configuration), 'webhooks') ?? []) as unknown[];
  const bundles = () => {
    return webhooks().map((webhook) => Buffer.from(stringAt(webhook, 'clientConfig', 'caBundle') ?? '', 'base64').toString());
  };
  const signedBy = (leaf: string, ca: string) => new X509Certificate(leaf).verify(new X509Certificate(ca).publicKey);

  beforeEach(() => {
    cluster = fakeCluster();
    now = new Date('2026-01-01T00:00:00Z');
    isServing = true;
    external = undefined;
    cluster.put(names.configuration, { metadata: { name: 'hook' } });
  });

  it('registers the webhook once it serves, and not before', async () => {
    isServing = false;
    assert.equal((await reconcile()).registration, 'waiting');
    assert.deepEqual(webhooks(), []);
    isServing = true;
    assert.equal((await reconcile()).registration, 'registered');
    assert.deepEqual(
      webhooks().map((webhook) => stringAt(webhook, 'name')),
      entries.map(({ name }) => name),
    );
    isServing = false;
    assert.equal((await reconcile()).registration, 'registered');
    assert.equal(webhooks().length, 2);
  });

  it('reports a configuration that does not exist, and does not make it', async () => {
    cluster.objects.delete(names.configuration);
    assert.equal((await reconcile()).registration, 'absent');
    assert.equal(cluster.objects.has(names.configuration), false);
  });

  it('issues and publishes both CAs before any leaf, and then writes nothing', async () => {
    await reconcile();
    assert.deepEqual(cluster.writes, [names.ca, names.bundle, names.configuration, names.webhook, names.broker]);
    const ca = secret(names.ca);
    const both = `${ca['current.crt']}${ca['next.crt']}`;
    assert.equal(stringAt(cluster.objects.get(names.bundle), 'data', 'ca.crt'), both);
    assert.deepEqual(bundles(), [both, both]);
    for (const path of [names.webhook, names.broker]) {
      assert.equal(cluster.objects.get(path)?.type, 'kubernetes.io/tls');
      assert.equal(signedBy(secret(path)['tls.crt'] ?? '', ca['current.crt'] ?? ''), true);
    }
    for (const path of [names.ca, names.bundle, names.webhook, names.broker])
      assert.equal(at(cluster.objects.get(path), 'metadata', 'labels', 'app.kubernetes.io/managed-by'), 'aad-pod-identity-controller');
    cluster.writes.length = 0;
    await reconcile();
    assert.deepEqual(cluster.writes, []);
  });

  it('renews leaves at two thirds of their life, and nothing else', async () => {
    await reconcile();
    cluster.writes.length = 0;
    now = new Date(now.getTime() + 61 * dayMs);
    await reconcile();
    assert.deepEqual(cluster.writes, [names.webhook, names.broker]);
  });

  it('rotates the CA so that old and new leaves verify with old and new bundles', async () => {
    await reconcile();
    const old = secret(names.ca);
    const oldBundle = bundles()[0] ?? '';
    const oldLeaf = secret(names.broker)['tls.crt'] ?? '';
    now = new Date(now.getTime() + 2500 * dayMs);
    await reconcile();
    const fresh = secret(names.ca);
    assert.equal(fresh['current.crt'], old['next.crt']);
    assert.ok(!Object.values(fresh).includes(old['current.key'] ?? ''), 'the retired key must be gone');
    assert.ok(oldBundle.includes(fresh['current.crt'] ?? '?'));
    assert.equal(signedBy(secret(names.broker)['tls.crt'] ?? '', fresh['current.crt'] ?? ''), true);
    assert.ok(signedBy(oldLeaf, old['current.crt'] ?? '') && bundles().every((bundle) => bundle.includes(old['current.crt'] ?? '?')));
    now = new Date(now.getTime() + 95 * dayMs);
    await reconcile();
    assert.deepEqual(bundles()[0], `${fresh['current.crt']}${fresh['next.crt']}`);
    assert.equal(secret(names.ca)['previous.crt'], undefined);
  });

  it('repairs a bundle, a leaf and a webhook that were edited', async () => {
    await reconcile();
    const { 'current.crt': current, 'next.crt': next } = secret(names.ca);
    const configuration = cluster.objects.get(names.configuration) ?? {};
    cluster.put(names.configuration, {
      ...configuration,
      webhooks: entries.map((entry) => ({ ...entry, failurePolicy: 'Ignore', clientConfig: { caBundle: 'eA==' } })),
    });
    cluster.put(names.bundle, { ...cluster.objects.get(names.bundle), data: { 'ca.crt': 'x', other: 'kept' } });
    cluster.put(names.broker, { ...cluster.objects.get(names.broker), data: encodeSecretData({ 'tls.crt': 'x', 'tls.key': 'y' }) });
    await reconcile();
    assert.deepEqual(bundles(), [`${current}${next}`, `${current}${next}`]);
    assert.deepEqual(at(cluster.objects.get(names.bundle), 'data'), { 'ca.crt': `${current}${next}`, other: 'kept' });
    assert.equal(signedBy(secret(names.broker)['tls.crt'] ?? '', current ?? ''), true);
  });

  it('uses the CA of another replica that created it first', async () => {
    const winner = fakeCluster();
    const loser = cluster;
    cluster = winner;
    winner.put(names.configuration, {});
    await reconcile();
    cluster = loser;
    const made = winner.objects.get(names.ca) ?? {};
    loser.interfere((path) => {
      assert.equal(path, names.ca);
      loser.put(names.ca, made);
    });
    await reconcile();
    assert.deepEqual(secret(names.ca), decodeSecretData(made));
    assert.equal(signedBy(secret(names.webhook)['tls.crt'] ?? '', secret(names.ca)['current.crt'] ?? ''), true);
  });

  it('reads a webhook configuration again that changes before the patch', async () => {
    await reconcile();
    const registered = webhooks();
    const other = { name: 'other.example.com' };
    cluster.put(names.configuration, {});
    cluster.interfere(() => cluster.put(names.configuration, { webhooks: [other] }));
    await reconcile();
    assert.deepEqual(webhooks(), [...registered, other]);
  });

  it('issues no leaf while the bundle cannot be published', async () => {
    cluster.failOn(names.configuration);
    await assert.rejects(reconcile(), { name: 'KubeError', status: 403 });
    assert.equal(cluster.objects.has(names.webhook), false);
    cluster.objects.delete(names.configuration);
    await reconcile();
    assert.equal(cluster.objects.has(names.webhook), true);
  });

  describe('with certificates of others', () => {
    let folder: string;
    let ca: TestAuthority;
    const sourceOf = (server: string) =>
      ({ mode: 'provided', namespace: 'home', secret: server, chartValue: '', dnsName: `${server}.home.svc` }) as const;
    const mount = async (authority: TestAuthority) => {
      for (const server of ['webhook', 'broker']) {
        mkdirSync(path.join(folder, server), { recursive: true });
        writeFileSync(path.join(folder, server, 'tls.crt'), (await authority.issue(`${server}.home.svc`)).certificate);
        writeFileSync(path.join(folder, server, 'ca.crt'), authority.certificate);
      }
    };
    const published = () => stringAt(cluster.objects.get(names.bundle), 'data', 'ca.crt');
    before(async () => {
      folder = mkdtempSync(path.join(tmpdir(), 'reconciler-'));
      ca = await createTestAuthority();
    });
    after(() => rmSync(folder, { recursive: true, force: true }));
    beforeEach(async () => {
      now = new Date();
      external = { directory: folder, caBundle: '', servers: { webhook: sourceOf('webhook'), broker: sourceOf('broker') } };
      await mount(ca);
    });

    it('publishes their CA and touches no Secret', async () => {
      assert.deepEqual(await reconcile(), { registration: 'registered', problem: undefined });
      assert.deepEqual(cluster.writes, [names.bundle, names.configuration]);
      assert.equal(published(), ca.certificate);
      assert.deepEqual(bundles(), [ca.certificate, ca.certificate]);
    });

    it('publishes nothing and adds no entry while they are wrong', async () => {
      rmSync(path.join(folder, 'broker', 'ca.crt'));
      const { registration, problem } = await reconcile();
      assert.equal(registration, 'waiting');
      assert.match(problem ?? '', /^Secret home\/broker has no ca\.crt/);
      assert.deepEqual(cluster.writes, []);
    });

    it('keeps what it published when they become wrong', async () => {
      await reconcile();
      writeFileSync(path.join(folder, 'webhook', 'ca.crt'), (await createTestAuthority()).certificate);
      const { registration, problem } = await reconcile();
      assert.deepEqual([registration, problem === undefined], ['registered', false]);
      assert.deepEqual([published(), ...bundles()], [ca.certificate, ca.certificate, ca.certificate]);
    });

    it('keeps the CAs of the mode before, and those of a CA that changes', async () => {
      const files = external;
      external = undefined;
      await reconcile();
      const own = published() ?? '?';
      external = files;
      await reconcile();
      assert.equal(published(), ca.certificate + own);
      const fresh = await createTestAuthority();
      await mount(fresh);
      await reconcile();
      assert.deepEqual(bundles(), Array(2).fill(fresh.certificate + ca.certificate + own));
      external = undefined;
      await reconcile();
      assert.equal(published(), own + fresh.certificate + ca.certificate);
    });
  });
});
