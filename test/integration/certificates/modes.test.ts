// certificates.mode end to end: a release goes through all three modes and through changes of its CA, and the API server never meets a webhook that it
// does not trust.
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import {
  caBundleConfigMapName,
  replacedAtKey,
  replacedBundleKey,
  webhookConfigurationName,
  webhookServiceName,
} from '../../../api/names.ts';
import { mergePatch } from '../../../lib/kube/client.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { configMaps, mutatingWebhookConfigurations, resourcePath, secrets } from '../../../lib/kube/resources.ts';
import { decodeSecretData } from '../../../lib/kube/secret-data.ts';
import type { TestAuthority } from '../../../lib/tls/testing/certificates.ts';
import { createTestAuthority } from '../../../lib/tls/testing/certificates.ts';
import { mustRun } from '../../cluster/run.ts';
import { eventually } from '../../harness/wait.ts';
import type { FakeCertManager } from './cert-manager.ts';
import { installCertManagerCrds, missingForCertManager, putSecret, startFakeCaInjector, startFakeCertManager } from './cert-manager.ts';
import type { Release } from './release.ts';
import { brokerHost, releaseNamespace, servedSerial, startRelease } from './release.ts';

const webhookHost = `${webhookServiceName}.${releaseNamespace}.svc`;
const bundlePath = resourcePath(configMaps, { namespace: releaseNamespace, name: caBundleConfigMapName });
const configurationPath = resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName });

describe('a release through the modes of its certificates', { skip: missingForCertManager }, () => {
  let release: Release;
  let certManager: FakeCertManager;
  /** What the sidecar of the pod `old`, which runs from the beginning, trusts. */
  let ofOldPod: string;
  /** Creates pods all the time, to the end of the tests. */
  let load: { stop(): Promise<number> };

  const secret = async (name: string) =>
    decodeSecretData(await release.client.call('GET', resourcePath(secrets, { namespace: releaseNamespace, name })));
  const serialIn = async (name: string) => new X509Certificate((await secret(name))['tls.crt'] ?? '').serialNumber;
  const bundle = async () => stringAt(await release.client.call('GET', bundlePath), 'data', 'ca.crt') ?? '';
  /** The sidecar of `old` asks again with the CAs that it knows, and takes over those of the answer. */
  const pollAgain = async (port?: number) => {
    ofOldPod = await release.poll('old', ofOldPod, port);
  };
  /** Serial numbers that webhook and broker serve, verified by what is published. */
  const served = async () => {
    const ca = await bundle();
    const { webhook, broker } = release.programs;
    return Promise.all([servedSerial(webhook.port, webhookHost, ca), servedSerial(broker.port, brokerHost, ca)]);
  };
  /** As time would do it: the CAs were replaced ten minutes ago. */
  const ageReplacement = () =>
    release.client.call('PATCH', bundlePath, {
      contentType: mergePatch,
      body: { data: { [replacedAtKey]: new Date(Date.now() - 600_000).toISOString() } },
    });
  const isReplaced = async () => at(await release.client.call('GET', bundlePath), 'data', replacedBundleKey) !== undefined;

  before(async () => {
    release = await startRelease(installCertManagerCrds);
    certManager = startFakeCertManager(release.client, releaseNamespace);
    await release.upgrade([]);
    const isInjecting = () =>
      release.createPod().then(
        () => true,
        () => false,
      );
    await eventually(isInjecting, 'the API server calls the webhook');
    ofOldPod = await release.createPod('old');
    load = createPods(release);
  });
  after(async () => {
    await certManager?.stop();
    await release?.stop();
  });

  it('self-signed: injects pods whose sidecars trust the broker', async () => {
    assert.equal(ofOldPod, await bundle());
    await pollAgain();
    assert.deepEqual(await served(), [await serialIn('aad-pod-identity-webhook-tls'), await serialIn('aad-pod-identity-broker-tls')]);
  });

  it('cert-manager: takes over, and sidecars learn the new CA before they need it', async () => {
    const { broker: old } = release.programs;
    await release.upgrade(['certificates.mode=cert-manager'], async () => pollAgain(old.port));
    await pollAgain();
    assert.deepEqual(await served(), [
      await serialIn('aad-pod-identity-webhook-certificate'),
      await serialIn('aad-pod-identity-broker-certificate'),
    ]);
    await release.poll('old', await release.createPod());
  });

  it('cert-manager: objects of the chart have no field that its CRDs do not know', async () => {
    const manifest = await release.helm('get', 'manifest', 'identity', '-n', releaseNamespace);
    const objects = manifest.split('\n---\n').filter((text) => text.includes('apiVersion: cert-manager.io/v1'));
    assert.equal(objects.length, 5);
    await mustRun(release.plane.kubectl, ['apply', '--dry-run=server', '--validate=strict', '-f', '-'], {
      env: { KUBECONFIG: release.plane.kubeconfig },
      input: objects.join('\n---\n'),
    });
  });

  it('cert-manager: serves a certificate of a new CA only once clients know that CA', async () => {
    await ageReplacement();
    const before = await served();
    const known = await bundle();
    await certManager.renewAll();
    const ca = (await secret('aad-pod-identity-broker-certificate'))['ca.crt'] ?? '?';
    await eventually(async () => (await bundle()).startsWith(ca), 'the new CA is published');
    assert.ok((await bundle()).includes(known.slice(0, known.indexOf('-----END'))), 'the old CA stays');
    await eventually(async () => (await release.createPod()).includes(ca), 'pods get the new CA');
    await pollAgain();
    assert.deepEqual(await served(), before);
    await ageReplacement();
    const after = [await serialIn('aad-pod-identity-webhook-certificate'), await serialIn('aad-pod-identity-broker-certificate')];
    await eventually(async () => (await served()).join() === after.join(), 'the new certificates are served');
    await pollAgain();
  });

  it('cert-manager: leaves its cainjector nothing to write, also with its annotation', async () => {
    // The controller drops CAs that were replaced long ago.
    await release.client.call('PATCH', bundlePath, {
      contentType: mergePatch,
      body: { data: { [replacedAtKey]: '2020-01-01T00:00:00Z' } },
    });
    await eventually(async () => !(await isReplaced()), 'one CA is left');
    // The entries follow the bundle.
    const isInEntries = async () => {
      const entries = at(await release.client.call('GET', configurationPath), 'webhooks');
      const ca = Buffer.from(await bundle()).toString('base64');
      return Array.isArray(entries) && entries.every((entry) => stringAt(entry, 'clientConfig', 'caBundle') === ca);
    };
    await eventually(isInEntries, 'the entries have it');
    const injector = startFakeCaInjector(release.client);
    const annotations = { 'cert-manager.io/inject-ca-from': `${releaseNamespace}/aad-pod-identity-webhook` };
    await release.client.call('PATCH', configurationPath, { contentType: mergePatch, body: { metadata: { annotations } } });
    await eventually(() => injector.seen > 0, 'the cainjector has looked');
    await injector.stop();
    assert.equal(injector.writes, 0);
    const none = { 'cert-manager.io/inject-ca-from': null };
    await release.client.call('PATCH', configurationPath, { contentType: mergePatch, body: { metadata: { annotations: none } } });
  });

  describe('provided', () => {
    let ca: TestAuthority;
    const provide = async (authority: TestAuthority, changes: Record<string, string> = {}) => {
      for (const [name, host] of [
        ['hook-tls', webhookHost],
        ['broker-tls', brokerHost],
      ] as const) {
        const { certificate, key } = await authority.issue(host);
        await putSecret(release.client, releaseNamespace, name, {
          'tls.crt': certificate,
          'tls.key': key,
          'ca.crt': authority.certificate,
          ...changes,
        });
      }
    };
    const servesProvided = async () => (await served()).join() === [await serialIn('hook-tls'), await serialIn('broker-tls')].join();

    before(async () => {
      ca = await createTestAuthority();
      await provide(ca);
      const { broker: old } = release.programs;
      const names = 'certificates.provided.webhookSecret=hook-tls,certificates.provided.brokerSecret=broker-tls';
      await release.upgrade([`certificates.mode=provided,${names}`], async () => pollAgain(old.port));
    });

    it('provided: takes over from cert-manager', async () => {
      await pollAgain();
      assert.ok(await servesProvided());
      assert.ok((await release.createPod()).startsWith(ca.certificate));
    });

    it('provided: serves a renewed certificate of the same CA without a restart', async () => {
      await ageReplacement();
      await provide(ca);
      await eventually(servesProvided, 'the renewed certificates are served');
      await pollAgain();
    });

    it('provided: keeps serving while the Secrets are wrong, and says what to correct', async () => {
      const before = await served();
      await provide(await createTestAuthority(), { 'tls.key': 'x', 'ca.crt': ca.certificate });
      const { webhook, broker, controller } = release.programs;
      for (const [program, name] of [
        [webhook, 'hook-tls'],
        [broker, 'broker-tls'],
      ] as const) {
        const { error } = await program.logged(({ msg }) => msg === 'serving certificate refused');
        assert.match(
          String(error),
          new RegExp(`^Secret ${releaseNamespace}/${name} cannot be used, since tls.key .*certificates.provided`),
        );
        assert.equal((await program.readyz()).status, 200);
      }
      await eventually(async () => (await controller.readyz()).status === 503, 'the leader is not ready');
      assert.match(
        (await controller.readyz()).text,
        /hook-tls has a certificate in tls\.crt that the CAs in ca\.crt do not verify: correct/,
      );
      assert.deepEqual(await served(), before);
      await release.createPod();
      await provide(ca);
      await eventually(servesProvided, 'the corrected certificates are served');
      await eventually(async () => (await controller.readyz()).status === 200, 'the leader is ready');
    });
  });

  it('refuses no pod and lets none in without a sidecar in all of it', async () => {
    assert.ok((await load.stop()) > 0);
  });
});

/** A replica that goes ends its connections, maybe under a request. How replicas go is tested in the real cluster: this is about certificates. */
function unlessConnectionEnded(error: unknown): void {
  if (!/: EOF$/.test(String(error))) throw error;
}

/** `stop` resolves with their number, and rejects with the first that was refused or not injected. */
function createPods(release: Release): { stop(): Promise<number> } {
  const stopping = new AbortController();
  const loop = (async () => {
    let count = 0;
    for (; !stopping.signal.aborted; count += 1) await release.createPod().catch(unlessConnectionEnded);
    return count;
  })();
  loop.catch(() => undefined);
  return {
    stop() {
      stopping.abort();
      return loop;
    },
  };
}
