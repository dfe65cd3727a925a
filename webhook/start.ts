// Wires the webhook: informers and sidecar mode feed each admission; readiness and metrics follow them and the certificate.
import { setTimeout as delay } from 'node:timers/promises';
import { webhookServiceName } from '../api/names.ts';
import { version } from '../api/version.ts';
import { systemClock } from '../common/clock.ts';
import { parseListener, readinessAnswer, serveSmall } from '../lib/http.ts';
import { connect } from '../lib/kube/client.ts';
import type { Logger } from '../lib/log.ts';
import { memoryLimit } from '../lib/memory-limit.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import { SettingsError } from '../lib/settings.ts';
import type { Stopper } from '../lib/shutdown.ts';
import { tlsLimits } from '../lib/tls/limits.ts';
import type { ServingCertificate } from '../lib/tls/serving-certificate.ts';
import { followServingCertificate } from '../lib/tls/serving-certificate.ts';
import type { WebhookInformers } from './informers.ts';
import { startWebhookInformers } from './informers.ts';
import type { Admission } from './injection/admit.ts';
import { admit } from './injection/admit.ts';
import { createMetrics } from './metrics.ts';
import { missing } from './readiness.ts';
import type { Review } from './review.ts';
import { NotReadyError, startAdmissionServer } from './server.ts';
import type { WebhookSettings } from './settings.ts';
import type { SidecarModeWatch } from './sidecar-mode.ts';
import { watchSidecarMode } from './sidecar-mode.ts';
import { templateOf } from './template.ts';

/** How long a review waits for a namespace that the informer does not know yet. */
const namespaceWaitMs = 1_000;

/** Returns once everything listens. Throws {@link SettingsError} for settings that cannot be used. */
export async function startWebhook(values: WebhookSettings, { log, stopper }: { log: Logger; stopper: Stopper }): Promise<void> {
  if (values.sidecarImage === '') throw new SettingsError('--sidecar-image is empty: accepted is an image reference');
  const listen = {
    admission: parseListener('--admission-listen', values.admissionListen),
    probes: parseListener('--probes-listen', values.probesListen),
    metrics: parseListener('--metrics-listen', values.metricsListen),
  };
  const clock = systemClock;
  const client = connect({
    ...(values.kubeconfig === '' ? {} : { kubeconfig: values.kubeconfig }),
    userAgent: `aad-pod-identity-webhook/${version}`,
    qps: values.clientQps,
  });
  stopper.add('client', () => client.close());
  const informers = startWebhookInformers({ client, log, clock, ...values });
  stopper.add('informers', () => informers.stop());
  const { namespace, certificateMode: mode, certificateSecret: secret } = values;
  const certificate = followServingCertificate({
    client,
    log,
    source: {
      mode,
      namespace,
      secret,
      chartValue: 'certificates.provided.webhookSecret',
      dnsName: `${webhookServiceName}.${namespace}.svc`,
    },
    otherTrust: { bundles: () => informers.trusted, onChange: informers.onTrustedChange },
  });
  stopper.add('certificate', () => certificate.stop());
  const sidecar = watchSidecarMode({ client, log, clock, setting: values.nativeSidecar });
  stopper.add('sidecar mode', () => sidecar.stop());

  let draining = false;
  const problem = () =>
    missing({
      informers,
      certificate,
      nativeKnown: sidecar.mode !== undefined,
      draining,
      webhookConfiguration: values.webhookConfiguration,
      now: new Date(clock.wall()),
    });
  const registry = createRegistry();
  const metrics = createMetrics(registry, {
    notAfter: () => certificate.keyPair?.chain[0].validToDate,
    ready: () => problem() === undefined,
  });

  const probes = await serveSmall(listen.probes, {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => readinessAnswer(problem()),
  });
  stopper.add('probes', () => probes.stop());
  const metricsServer = await serveMetrics(listen.metrics, registry);
  stopper.add('metrics', () => metricsServer.stop());
  const server = await startAdmissionServer({
    listen: listen.admission,
    log,
    metrics,
    certificate,
    limits: tlsLimits({ memory: memoryLimit(), connectionShare: 0.08, bodyShare: 0.15 }),
    admit: (review, budgetMs) => admitReview(review, budgetMs, { values, informers, certificate, sidecar }),
  });
  stopper.add('admission', () => server.stop());

  // Stops first: the Service drops this endpoint while requests are still answered.
  stopper.add('drain', async () => {
    draining = true;
    server.drain();
    await delay(values.drainDelay * 1000);
  });
  log.info({ admissionPort: server.port, probesPort: probes.port, metricsPort: metricsServer.port }, 'listening');
}

interface AdmissionSources {
  values: WebhookSettings;
  informers: WebhookInformers;
  certificate: ServingCertificate;
  sidecar: SidecarModeWatch;
}

async function admitReview(review: Review, budgetMs: number, sources: AdmissionSources): Promise<Admission> {
  const { values, informers } = sources;
  const { caBundle } = sources.certificate;
  const { mode } = sources.sidecar;
  if (!informers.synced || mode === undefined || caBundle === undefined) throw new NotReadyError('the webhook is not ready yet');
  const namespace = await informers.namespace(review.namespace, Math.min(namespaceWaitMs, budgetMs / 2));
  // Not known to be unguarded: a pod that asks for nothing would be let in without a guard.
  if (values.guardNamespaceSelector !== undefined && namespace.guarded === undefined && !review.guarded)
    throw new NotReadyError(`namespace ${review.namespace} is not known yet`);
  return admit({
    pod: review.pod,
    // The path says what the API server knows of the namespace, which may be newer.
    namespace: review.guarded ? { ...namespace, guarded: true } : namespace,
    exceptions: informers.exceptionsOf(review.namespace),
    settings: { hostNetwork: values.hostNetworkPods, guardHostNetwork: values.guardHostNetworkPods },
    limits: informers.limitsOf(review.namespace),
    template: templateOf({ values, mode, namespace: review.namespace, caBundle, brokerAddress: informers.brokerAddress }),
  });
}
