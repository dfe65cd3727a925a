// Mode `self` (design 7): the leader makes and renews the system's own certificates and heals what others change.
import { randomBytes } from 'node:crypto';
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../api/names.ts';
import { createWorkQueue } from '../../lib/controller/work-queue.ts';
import { startInformer } from '../../lib/kube/informer.ts';
import { metadataOf } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { configMaps, mutatingWebhookConfigurations, secrets } from '../../lib/kube/resources.ts';
import type { CertificateOptions } from './reconcile.ts';
import { reconcileCertificates } from './reconcile.ts';

export interface Maintenance {
  /** Resolves after the first pass that did everything. */
  whenDone(): Promise<void>;
  stop(): Promise<void>;
}

/** Renewal is due at a date, without an event. Leaves have a month left by then, so an hour more does not matter. */
const checkMs = 3600 * 1000;
/** Someone who keeps undoing our changes costs one pass a second, not a tight loop. */
const quietMs = 1000;
const task = 'certificates';

/** Starts at once and retries for ever. */
export function maintainCertificates(
  given: Omit<CertificateOptions, 'now' | 'random'> & Partial<Pick<CertificateOptions, 'now' | 'random'>>,
): Maintenance {
  const options: CertificateOptions = { now: () => new Date(), random: randomBytes, ...given };
  const { client, log, namespace } = options;
  const done = Promise.withResolvers<void>();
  let lastPass = performance.now();

  const queue = createWorkQueue({
    concurrency: 1,
    async work(_key, signal) {
      lastPass = performance.now();
      // First, since the last date given counts: a change during the pass brings the next one forward.
      queue.addAfter(task, checkMs);
      await reconcileCertificates(options, signal);
      done.resolve();
    },
    onError: (_key, error, retryMs) => log.warn({ error: String(error), retryMs: Math.round(retryMs) }, 'certificates are not in order'),
    retryMs: [100, 60_000],
  });

  const follow = (resource: Resource, name: string, place: { namespace?: string }) => {
    const informer = startInformer({
      client,
      log,
      resource,
      ...place,
      fieldSelector: `metadata.name=${name}`,
      project: (raw) => metadataOf(raw).resourceVersion,
    });
    informer.onChange(() => queue.addAfter(task, Math.max(0, Math.ceil(lastPass + quietMs - performance.now()))));
    return informer;
  };
  const informers = [
    follow(secrets, caSecretName, { namespace }),
    follow(secrets, webhookCertificateSecretName, { namespace }),
    follow(secrets, brokerCertificateSecretName, { namespace }),
    follow(configMaps, caBundleConfigMapName, { namespace }),
    follow(mutatingWebhookConfigurations, options.webhookConfiguration, {}),
  ];
  queue.add(task);

  return {
    whenDone: () => done.promise,
    async stop() {
      await Promise.all([queue.stop(), ...informers.map((informer) => informer.stop())]);
    },
  };
}
