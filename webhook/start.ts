// Wires the parts of the webhook together and says how they are stopped.
import { setTimeout as delay } from 'node:timers/promises';
import { ports } from '../api/names.ts';
import { version } from '../api/version.ts';
import { parseListener, serveSmall } from '../lib/http.ts';
import { connect } from '../lib/kube/client.ts';
import type { Logger } from '../lib/log.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import { SettingsError } from '../lib/settings.ts';
import type { Stopper } from '../lib/shutdown.ts';
import type { Admission } from './admit.ts';
import { admit } from './admit.ts';
import type { Caches } from './caches.ts';
import { startCaches } from './caches.ts';
import type { Template } from './containers.ts';
import { createMetrics } from './metrics.ts';
import type { ModeWatch } from './native.ts';
import { followMode } from './native.ts';
import { missing } from './readiness.ts';
import type { Review } from './review.ts';
import { NotReadyError, startAdmissionServer } from './server.ts';
import type { WebhookSettings } from './settings.ts';

/** A namespace that is made right before its first pod reaches our copy within this time. */
const namespaceWaitMs = 1_000;

export async function startWebhook(values: WebhookSettings, { log, stopper }: { log: Logger; stopper: Stopper }): Promise<void> {
  if (values.sidecarImage === '') throw new SettingsError('--sidecar-image is empty: accepted is an image reference');
  const listeners = {
    admission: parseListener('--admission-listen', values.admissionListen),
    probes: parseListener('--probes-listen', values.probesListen),
    metrics: parseListener('--metrics-listen', values.metricsListen),
  };
  const client = connect({
    ...(values.kubeconfig === '' ? {} : { kubeconfig: values.kubeconfig }),
    userAgent: `aad-pod-identity-webhook/${version}`,
    qps: values.clientQps,
  });
  stopper.add('client', () => client.close());
  const caches = startCaches({ client, log, ...values });
  stopper.add('caches', () => caches.stop());
  const native = followMode({ client, log, setting: values.nativeSidecar });
  stopper.add('mode', () => native.stop());

  let draining = false;
  const { webhookConfiguration } = values;
  const problem = () => missing(caches, { nativeKnown: native.mode !== undefined, draining, webhookConfiguration, now: new Date() });
  const registry = createRegistry();
  const metrics = createMetrics(registry, { notAfter: () => caches.certificate?.notAfter, ready: () => problem() === undefined });

  const probes = await serveSmall(listeners.probes, {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => {
      const found = problem();
      return found === undefined ? { status: 200, body: 'ready\n' } : { status: 503, body: `${found}\n` };
    },
  });
  stopper.add('probes', () => probes.stop());
  const metricsServer = await serveMetrics(listeners.metrics, registry);
  stopper.add('metrics', () => metricsServer.stop());

  const server = await startAdmissionServer({
    listen: listeners.admission,
    log,
    metrics,
    admit: (review, budgetMs) => admitReview(review, budgetMs, { values, caches, native }),
  });
  stopper.add('admission', () => server.stop());
  const serve = () => {
    if (caches.certificate === undefined) return;
    try {
      server.use(caches.certificate);
    } catch (error) {
      log.error({ error: String(error) }, 'serving certificate refused by TLS, the one before stays in use');
    }
  };
  caches.onCertificates(serve);
  serve();
  // Runs first: the endpoint goes out of the Service while requests are still answered (spec/injection.md 2.22).
  stopper.add('drain', async () => {
    draining = true;
    server.drain();
    await delay(values.drainDelay * 1000);
  });
  log.info({ admissionPort: server.port, probesPort: probes.port, metricsPort: metricsServer.port }, 'listening');
}

async function admitReview(
  review: Review,
  budgetMs: number,
  { values, caches, native }: { values: WebhookSettings; caches: Caches; native: ModeWatch },
): Promise<Admission> {
  const { caBundle } = caches;
  const { mode } = native;
  if (!caches.synced || mode === undefined || caBundle === undefined) throw new NotReadyError('the webhook is not ready yet');
  const namespace = await caches.namespace(review.namespace, Math.min(namespaceWaitMs, budgetMs / 2));
  return admit({
    pod: review.pod,
    namespace,
    exceptions: caches.exceptionsOf(review.namespace),
    settings: { hostNetwork: values.hostNetworkPods },
    template: templateOf(values, mode, caBundle, caches.brokerAddress),
  });
}

function templateOf(values: WebhookSettings, mode: Template['mode'], ca: string, brokerIp: string | undefined): Template {
  const { broker: port } = ports.controller;
  return {
    mode,
    image: values.sidecarImage,
    imagePullPolicy: values.sidecarImagePullPolicy,
    broker: {
      url: `https://${values.brokerService}.${values.namespace}.svc:${port}`,
      address: brokerIp === undefined ? undefined : `${brokerIp.includes(':') ? `[${brokerIp}]` : brokerIp}:${port}`,
      ca,
    },
    proxy: {
      logLevel: values.proxyLogLevel,
      cpuRequest: values.proxyCpuRequest,
      cpuLimit: values.proxyCpuLimit,
      memoryRequest: values.proxyMemoryRequest,
      memoryLimit: values.proxyMemoryLimit,
    },
    init: {
      cpuRequest: values.initCpuRequest,
      cpuLimit: values.initCpuLimit,
      memoryRequest: values.initMemoryRequest,
      memoryLimit: values.initMemoryLimit,
    },
    blockWireServer: values.blockWireServer,
    blockInstanceMetadata: values.blockInstanceMetadata,
    iptables: values.iptables,
  };
}
