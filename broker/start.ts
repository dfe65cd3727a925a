// Puts the broker together: informers, the serving certificate, the minter of tokens, the server.
import os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { brokerCertificateSecretName } from '../api/names.ts';
import { version } from '../api/version.ts';
import { systemClock as clock } from '../common/clock.ts';
import { entraHosts } from '../lib/azure/clouds.ts';
import { parseListener, serveSmall } from '../lib/http.ts';
import { startIdentityInformers } from '../lib/identities/informers.ts';
import { connect } from '../lib/kube/client.ts';
import { createEventRecorder } from '../lib/kube/events.ts';
import type { Logger } from '../lib/log.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import type { Stopper } from '../lib/shutdown.ts';
import { followServingCertificate } from '../lib/tls/serving-certificate.ts';
import { userAgentOf } from '../lib/user-agent.ts';
import { connectEntra } from './entra.ts';
import { createMetrics } from './metrics.ts';
import { missing } from './readiness.ts';
import { createReportWriter } from './reports.ts';
import { createRowSource } from './rows.ts';
import type { BrokerServer } from './server.ts';
import { startBrokerServer } from './server.ts';
import type { BrokerSettings } from './settings.ts';
import { createTokenMinter } from './token-minter.ts';

export async function startBroker(values: BrokerSettings, { log, stopper }: { log: Logger; stopper: Stopper }): Promise<void> {
  const listeners = {
    broker: parseListener('--broker-listen', values.brokerListen),
    probes: parseListener('--probes-listen', values.probesListen),
    metrics: parseListener('--metrics-listen', values.metricsListen),
  };
  const { authority, network } = connectEntra(values);
  const managed = values.operationMode === 'managed';
  const client = connect({
    kubeconfig: values.kubeconfig || undefined,
    userAgent: userAgentOf('broker', values.customUserAgent),
    qps: values.clientQps,
  });
  stopper.add('API client', () => client.close());
  const informers = startIdentityInformers({ client, log, rules: { forceNamespaced: values.forceNamespaced || managed } });
  stopper.add('informers', () => informers.stop());
  const events = createEventRecorder({ client, log, instance: values.instance || os.hostname() });
  stopper.add('events', () => events.flush());
  const certificate = followServingCertificate({ client, log, namespace: values.namespace, secret: brokerCertificateSecretName });
  stopper.add('certificate', () => certificate.stop());

  let server: BrokerServer | undefined;
  const registry = createRegistry();
  const metrics = createMetrics(registry, {
    heldPolls: () => server?.heldPolls ?? 0,
    certificateExpiry: () => certificate.keyPair?.chain[0].validToDate,
  });
  server = await startBrokerServer({
    client,
    log,
    listen: listeners.broker,
    rows: createRowSource(informers, { managed }),
    certificate,
    onReport: createReportWriter({ client, log, informers, clock }),
    mintToken: metrics.countTokens(
      createTokenMinter({
        client,
        log,
        events,
        identityOf: (key) => informers.identities.get(key)?.object,
        rules: { authority, knownHosts: entraHosts, allowCrossNamespaceSecrets: values.allowCrossNamespaceSecrets },
        network,
        clock,
      }),
    ),
  });
  const { port } = server;
  stopper.add('server', () => server.stop());

  const metricsServer = await serveMetrics(listeners.metrics, registry);
  stopper.add('metrics', () => metricsServer.stop());
  let draining = false;
  const probes = await serveSmall(listeners.probes, {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => {
      const found = missing({ informers, certificate, draining });
      return found === undefined ? { status: 200, body: 'ready\n' } : { status: 503, body: `not ready: ${found}\n` };
    },
  });
  stopper.add('probes', () => probes.stop());
  // Stopped first: the Service takes this replica out of its endpoints while polls are still held.
  stopper.add('drain', async () => {
    draining = true;
    server.drain();
    await delay(values.drainDelay * 1000);
  });
  log.info({ version, broker: port, metrics: metricsServer.port, probes: probes.port }, 'started');
}
