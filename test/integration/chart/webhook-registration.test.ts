// The webhook configuration under helm: it is installed without entries, and those of the controller outlive every change of the release.
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { webhookConfigurationName } from '../../../api/names.ts';
import { ensureEntries } from '../../../controller/certificates/webhook-configuration.ts';
import { isNotFound } from '../../../lib/kube/errors.ts';
import { at, metadataOf } from '../../../lib/kube/objects.ts';
import { mutatingWebhookConfigurations, pods, resourcePath } from '../../../lib/kube/resources.ts';
import { chart } from '../../chart/render.ts';
import { mustRun } from '../../cluster/run.ts';
import { eventually } from '../../harness/wait.ts';
import type { InstalledChart } from './installed.ts';
import { entriesOfChart, installChart, releaseNamespace } from './installed.ts';

const configurationPath = resourcePath(mutatingWebhookConfigurations, { name: webhookConfigurationName });
const caBundle = '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n';

describe('the webhook configuration of a release', () => {
  let installed: InstalledChart;
  before(async () => {
    installed = await installChart();
  });
  after(() => installed?.stop());

  const configuration = () => installed.admin.call('GET', configurationPath);
  const entries = async () => at(await configuration(), 'webhooks');
  const upgrade = (...flags: string[]) => installed.helm('upgrade', 'webhook', chart, '-n', releaseNamespace, '--reuse-values', ...flags);

  /** As the controller does it, with its rights. */
  async function register(): Promise<unknown> {
    const client = await installed.as('aad-pod-identity-controller');
    const wanted = await entriesOfChart(installed.admin, releaseNamespace);
    const signal = new AbortController().signal;
    const name = webhookConfigurationName;
    const { registration } = await ensureEntries({ client, name, entries: wanted, bundle: caBundle, isServing: true, signal });
    assert.equal(registration, 'registered');
    return entries();
  }

  const create = (name: string) =>
    installed.admin.call('POST', resourcePath(pods, { namespace: 'default' }), {
      body: { metadata: { name, labels: { aadpodidbinding: 'x' } }, spec: { containers: [{ name: 'app', image: 'app' }] } },
    });

  it('refuses no labelled pod while no program of the release runs', async () => {
    assert.equal(await entries(), undefined);
    await create('early');
  });

  describe('with the entries of the controller', () => {
    before(register);
    afterEach(async () => {
      const found = await entries();
      assert.ok(Array.isArray(found) && found.length === 1);
    });

    it('refuses labelled pods without an answer', async () => {
      await eventually(
        () =>
          create(`late-${Date.now()}`).then(
            () => false,
            (error: unknown) => /failed calling webhook "inject\./.test(String(error)),
          ),
        'pods are refused',
      );
    });

    it('keeps them through an upgrade', async () => {
      const stored = await entries();
      await upgrade('--set', 'controller.logLevel=debug');
      assert.deepEqual(await entries(), stored);
    });

    it('keeps them through a rollback', async () => {
      const stored = await entries();
      await installed.helm('rollback', 'webhook', '1', '-n', releaseNamespace);
      assert.deepEqual(await entries(), stored);
    });

    const applied = { server: ['--server-side', '--force-conflicts', '--field-manager=gitops'], client: [] };
    for (const [side, flags] of Object.entries(applied))
      it(`keeps them through an apply on the ${side}'s side, and a diff finds nothing then`, async () => {
        const stored = await entries();
        const input = await installed.helm('get', 'manifest', 'webhook', '-n', releaseNamespace);
        const options = { env: { KUBECONFIG: installed.plane.kubeconfig }, input, timeoutSeconds: 60 };
        // As GitOps tools do it. With a difference, diff ends with code 1.
        for (const verb of ['apply', 'diff']) await mustRun(installed.plane.kubectl, [verb, ...flags, '-f', '-'], options);
        assert.deepEqual(await entries(), stored);
      });

    it('is pinned to the values of an upgrade, which the controller then writes', async () => {
      await upgrade('--set', 'webhook.timeoutSeconds=7');
      await eventually(
        () =>
          register().then(
            (found) => JSON.stringify(found).includes('"timeoutSeconds":7'),
            () => false,
          ),
        'the policy takes the new values',
      );
    });
  });

  it('comes back without entries by an upgrade after somebody deleted it', async () => {
    await installed.admin.call('DELETE', configurationPath);
    await assert.rejects(configuration(), isNotFound);
    await upgrade();
    assert.equal(metadataOf(await configuration()).name, webhookConfigurationName);
    assert.equal(await entries(), undefined);
    await create('between');
  });
});
