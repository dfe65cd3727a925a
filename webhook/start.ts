// Wires the webhook: informers and sidecar mode feed each admission; readiness, metrics and the certificate follow the informers.
import { setTimeout as delay } from 'node:timers/promises';
import { version } from '../api/version.ts';
import { systemClock } from '../common/clock.ts';
import { parseListener, serveSmall } from '../lib/http.ts';
import { connect } from '../lib/kube/client.ts';
import type { Logger } from '../lib/log.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import { SettingsError } from '../lib/settings.ts';
import type { Stopper } from '../lib/shutdown.ts';
import type { WebhookInformers } from './informers.ts';
import { startWebhookInformers } from './informers.ts';
import type { Admission } from './injection/admit.ts';
import { admit } from './injection/admit.ts';
import { createMetrics } from './metrics.ts';
import { missing } from './readiness.ts';
import type { Review } from './review.ts';
import type { AdmissionServer } from './server.ts';
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
  const sidecar = watchSidecarMode({ client, log, clock, setting: values.nativeSidecar });
  stopper.add('sidecar mode', () => sidecar.stop());

  let draining = false;
  const problem = () =>
    missing(informers, {
      nativeKnown: sidecar.mode !== undefined,
      draining,
      webhookConfiguration: values.webhookConfiguration,
      now: new Date(clock.wall()),
    });
  const registry = createRegistry();
  const metrics = createMetrics(registry, { notAfter: () => informers.certificate?.notAfter, ready: () => problem() === undefined });

  const probes = await serveSmall(listen.probes, probeRoutes(problem));
  stopper.add('probes', () => probes.stop());
  const metricsServer = await serveMetrics(listen.metrics, registry);
  stopper.add('metrics', () => metricsServer.stop());
  const server = await startAdmissionServer({
    listen: listen.admission,
    log,
    metrics,
    admit: (review, budgetMs) => admitReview(review, budgetMs, { values, informers, sidecar }),
  });
  stopper.add('admission', () => server.stop());
  followCertificate(informers, server, log);

  // Stops first: the Service drops this endpoint while requests are still answered.
  stopper.add('drain', async () => {
    draining = true;
    server.drain();
    await delay(values.drainDelay * 1000);
  });
  log.info({ admissionPort: server.port, probesPort: probes.port, metricsPort: metricsServer.port }, 'listening');
}

function probeRoutes(problem: () => string | undefined): Parameters<typeof serveSmall>[1] {
  return {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => {
      const found = problem();
      return found === undefined ? { status: 200, body: 'ready\n' } : { status: 503, body: `${found}\n` };
    },
  };
}

/** Serves with the certificate of now and with every later one. */
function followCertificate(informers: WebhookInformers, server: AdmissionServer, log: Logger): void {
  const serve = () => {
    if (informers.certificate === undefined) return;
    try {
      server.use(informers.certificate);
    } catch (error) {
      log.error({ error: String(error) }, 'serving certificate refused by TLS, the one before stays in use');
    }
  };
  informers.onCertificates(serve);
  serve();
}

interface AdmissionSources {
  values: WebhookSettings;
  informers: WebhookInformers;
  sidecar: SidecarModeWatch;
}

async function admitReview(review: Review, budgetMs: number, { values, informers, sidecar }: AdmissionSources): Promise<Admission> {
  const { caBundle, brokerAddress } = informers;
  const { mode } = sidecar;
  if (!informers.synced || mode === undefined || caBundle === undefined) throw new NotReadyError('the webhook is not ready yet');
  return admit({
    pod: review.pod,
    namespace: await informers.namespace(review.namespace, Math.min(namespaceWaitMs, budgetMs / 2)),
    exceptions: informers.exceptionsOf(review.namespace),
    settings: { hostNetwork: values.hostNetworkPods },
    template: templateOf({ values, mode, caBundle, brokerAddress }),
  });
}
