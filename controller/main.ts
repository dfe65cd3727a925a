import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { annotations, leaderLeaseName } from '../api/names.ts';
import { version } from '../api/version.ts';
import { followPublished } from '../broker/published.ts';
import { brokerView } from '../broker/rows.ts';
import { startBroker } from '../broker/server.ts';
import { createTokenMinter } from '../broker/tokens.ts';
import { entraHosts } from '../lib/azure/clouds.ts';
import { parseListener, serveSmall } from '../lib/http.ts';
import { recordDoubt } from '../lib/identities/imds-report.ts';
import { startInformers } from '../lib/identities/informers.ts';
import { connect } from '../lib/kube/client.ts';
import { createEventRecorder } from '../lib/kube/events.ts';
import { campaign } from '../lib/kube/lease.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import { runProgram } from '../lib/program.ts';
import { SettingsError } from '../lib/settings.ts';
import { connectAzure, connectCloud } from './azure/connect.ts';
import { maintainCertificates } from './certificates/maintain.ts';
import { translateMicArguments } from './coexistence/mic-flags.ts';
import { warnAboutOldCrds } from './crd-check.ts';
import { onStartedLeading } from './leader.ts';
import { registerGauges } from './metrics/gauges.ts';
import { createInstruments, measureTokens } from './metrics/instruments.ts';
import { settings } from './settings.ts';
import { userAgentOf } from './user-agent.ts';

void runProgram({
  name: 'controller',
  summary: 'assigns Azure identities to pods, attaches them to scale sets and VMs, and tells sidecars which identities are theirs',
  settings,
  translate: translateMicArguments,
  async start(values, { log, stopper }) {
    if (values.leaseRenew >= values.leaseDuration)
      throw new SettingsError(
        `--lease-renew is ${values.leaseRenew}: accepted is less than --lease-duration, which is ${values.leaseDuration}`,
      );
    const instance = values.instance || os.hostname();
    const registry = createRegistry();
    const measures = createInstruments(registry);
    // In managed mode nothing is asked of Resource Manager, so no sign-in is needed for it.
    const managed = values.operationMode === 'managed';
    const arm = managed ? undefined : connectAzure(values, log);
    const { cloud, network } = arm ?? connectCloud(values);
    const client = connect({
      kubeconfig: values.kubeconfig || undefined,
      userAgent: userAgentOf(values.customUserAgent),
      qps: values.clientQps,
    });
    stopper.add('API client', () => client.close());

    const informers = startInformers({ client, log, rules: { forceNamespaced: values.forceNamespaced || managed } });
    stopper.add('watches', () => informers.stop());
    void informers.whenSynced().then(() => warnAboutOldCrds(client, log));
    const events = createEventRecorder({ client, log, instance });
    stopper.add('events', () => events.flush());

    const published = followPublished({ client, log, namespace: values.namespace });
    stopper.add('certificates', () => published.stop());

    const broker = await startBroker({
      client,
      log,
      listen: parseListener('--broker-listen', values.brokerListen),
      view: brokerView(informers, { managed }),
      published,
      onReport: ({ podKey, identity, reason, requestId }) => {
        log.warn({ pod: podKey, identity, reason, requestId }, 'a sidecar reports that IMDS disagrees');
        const assignment = informers.assignmentOf(podKey, identity);
        // One without our note is still a MIC's, which does not know what a report is.
        if (assignment?.metadata.annotations?.[annotations.scope] === undefined) return;
        recordDoubt(client, assignment, new Date()).catch((error: unknown) =>
          log.warn({ pod: podKey, identity, error: String(error) }, 'report not passed on to the leader'),
        );
      },
      mintToken: measureTokens(
        measures,
        createTokenMinter({
          client,
          log,
          events,
          identityOf: (key) => informers.identities.get(key)?.object,
          rules: {
            authority: cloud.authority,
            knownHosts: entraHosts,
            allowCrossNamespaceSecrets: values.allowCrossNamespaceSecrets,
          },
          network,
          now: Date.now,
        }),
      ),
    });
    stopper.add('broker', () => broker.stop());

    const leadership = campaign({
      client,
      log,
      namespace: values.namespace,
      name: leaderLeaseName,
      // Two replicas may share a name, and in a container every pid is 1.
      identity: `${instance}_${randomUUID().slice(0, 8)}_${process.pid}`,
      durationMs: values.leaseDuration * 1000,
      renewMs: values.leaseRenew * 1000,
      retryMs: values.leaseRetry * 1000,
      async onLead(signal) {
        const maintenance = maintainCertificates({
          client,
          log,
          namespace: values.namespace,
          webhookService: values.webhookService,
          brokerService: values.brokerService,
          webhookConfiguration: values.webhookConfiguration,
          metrics: measures.controllers,
        });
        const leading = onStartedLeading({
          client,
          informers,
          arm,
          events,
          instruments: measures,
          log,
          settings: values,
          remainingMs: () => leadership.remainingMs(),
        });
        await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
        await Promise.all([maintenance.stop(), leading.stop()]);
      },
    });
    // Registered last of what writes, so stopped first.
    stopper.add('leadership', () => leadership.stop());

    registerGauges(registry, { informers, leadership, broker, published });
    const metrics = await serveMetrics(parseListener('--metrics-listen', values.metricsListen), registry);
    stopper.add('metrics', () => metrics.stop());
    const missing = () => (informers.synced ? 'the certificate of the broker' : `the list of ${informers.waitingFor().join(', ')}`);
    const probes = await serveSmall(parseListener('--probes-listen', values.probesListen), {
      // Upstream's path and bodies: 200 whether it leads or not.
      '/healthz': () => ({ status: 200, body: leadership.leading ? 'Active' : 'Not Active' }),
      '/readyz': () => (broker.ready ? { status: 200, body: 'ready\n' } : { status: 503, body: `not ready: waiting for ${missing()}\n` }),
    });
    stopper.add('probes', () => probes.stop());
    log.info({ version, broker: broker.port, metrics: metrics.port, probes: probes.port }, 'started');
  },
});
