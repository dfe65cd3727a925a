import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { version as ownVersion } from '../api/version.ts';
import { KubeError } from '../lib/kube/errors.ts';
import { silentLogger } from '../lib/log.ts';
import { warnAboutOldCrds } from './crd-check.ts';

describe('warnAboutOldCrds', () => {
  /** The texts of the Events, for CRDs with these versions by the start of their names. */
  async function eventsFor(versionOf: (name: string) => string | undefined): Promise<string[]> {
    const recorded: string[] = [];
    await warnAboutOldCrds({
      client: {
        async call(_method, path) {
          const name = path.split('/').at(-1) ?? '';
          if (name === 'webhook') return { metadata: { uid: 'service-uid' } };
          const version = versionOf(name);
          return { metadata: { labels: version === undefined ? {} : { 'app.kubernetes.io/version': version } } };
        },
      },
      log: silentLogger,
      events: {
        record: ({ kind, uid }, type, reason, message) => {
          recorded.push(`${kind} ${uid} ${type} ${reason}: ${message}`);
        },
      },
      namespace: 'system',
      webhookService: 'webhook',
    });
    return recorded;
  }

  it('records nothing for CRDs of its own version', async () => assert.deepEqual(await eventsFor(() => ownVersion), []));

  it('names the CRDs that are older and the command that upgrades them', async () => {
    const [event, ...others] = await eventsFor((name) =>
      name.startsWith('azureidentities.') ? undefined : name.startsWith('azureassigned') ? '0.1.9' : ownVersion,
    );
    assert.match(event ?? '', /^Service service-uid Warning CrdsOutdated: CRDs are older than this controller/);
    assert.match(event ?? '', /azureidentities\.aadpodidentity\.k8s\.io \(without a version\)/);
    assert.match(event ?? '', /azureassignedidentities\.aadpodidentity\.k8s\.io \(0\.1\.9\)/);
    assert.match(event ?? '', /helm show crds CHART \| kubectl apply --server-side --force-conflicts -f -$/);
    assert.doesNotMatch(event ?? '', /azureidentitybindings/);
    assert.deepEqual(others, []);
  });

  it('survives that it may not read CRDs', async () => {
    const refuse = () => {
      throw new KubeError(403, 'Forbidden', 'no');
    };
    assert.deepEqual(await eventsFor(refuse), []);
  });
});
