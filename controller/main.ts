import { randomUUID } from 'node:crypto';
import os from 'node:os';
import { leaderLeaseName } from '../api/names.ts';
import { version } from '../api/version.ts';
import { systemClock } from '../common/clock.ts';
import { parseListener, readinessAnswer, serveSmall } from '../lib/http.ts';
import { startInformers } from '../lib/identities/informers.ts';
import { connect } from '../lib/kube/client.ts';
import { createEventRecorder } from '../lib/kube/events.ts';
import { startLeaderElection } from '../lib/kube/leader-election.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import { runProgram } from '../lib/program.ts';
import { translateMicArguments } from '../lib/upstream/mic-flags.ts';
import { userAgentOf } from '../lib/user-agent.ts';
import { connectAzure } from './azure/connect.ts';
import type { CertificateState } from './certificates/reconciler.ts';
import { missingRegistration } from './certificates/registration.ts';
import { warnAboutOldCrds } from './crd-check.ts';
import { translateFormerNames } from './former-names.ts';
import { onStartedLeading } from './leader.ts';
import { registerGauges } from './metrics/gauges.ts';
import { createInstruments } from './metrics/instruments.ts';
import { watchWaiting } from './metrics/waiting.ts';
import { checkLeaseTimes, settings } from './settings.ts';
import { runTokenTest } from './token-test/command.ts';
import { runUninstall } from './uninstall/command.ts';

void runProgram({
  name: 'controller',
  summary: 'assigns Azure identities to pods, and attaches them to scale sets and VMs',
  settings,
  commands: { uninstall: runUninstall, 'test-token': runTokenTest },
  translate: (argv, env) => translateFormerNames(translateMicArguments(argv, env)),
  async start(values, { log, stopper }) {
    checkLeaseTimes(values);
    const instance = values.instance || os.hostname();
    const registry = createRegistry();
    const instruments = createInstruments(registry);
    // Managed mode does not call Resource Manager, so it needs no sign-in.
    const managed = values.operationMode === 'managed';
    const arm = managed ? undefined : connectAzure(values, log);
    const client = connect({
      kubeconfig: values.kubeconfig || undefined,
      userAgent: userAgentOf('controller', values.customUserAgent),
      qps: values.clientQps,
    });
    stopper.add('API client', () => client.close());

    const informers = startInformers({
      client,
      log,
      rules: { forceNamespaced: values.forceNamespaced || managed, bindingNamespaces: values.bindingNamespaces },
      policy: values.identityPolicy,
      recordNamespace: managed ? undefined : values.namespace,
    });
    stopper.add('watches', () => informers.stop());
    void informers.whenSynced().then(() => warnAboutOldCrds({ client, log, events, ...values }));
    const events = createEventRecorder({ client, log, instance });
    stopper.add('events', () => events.flush());

    // Two replicas may be given the same name, and the pid is 1 in every container.
    const identity = `${instance}_${randomUUID().slice(0, 8)}_${process.pid}`;
    /** As this replica found it in its term. */
    let certificates: CertificateState | undefined;
    const leadership = startLeaderElection({
      client,
      log,
      namespace: values.namespace,
      name: leaderLeaseName,
      identity,
      leaseDurationMs: values.leaseDuration * 1000,
      renewDeadlineMs: values.leaseRenew * 1000,
      retryPeriodMs: values.leaseRetry * 1000,
      onStartedLeading(signal) {
        certificates = undefined;
        const onCertificates = (state: CertificateState) => {
          certificates = state;
        };
        const remainingMs = () => leadership.remainingMs();
        return onStartedLeading(
          { identity, client, informers, arm, events, instruments, log, settings: values, remainingMs, onCertificates },
          signal,
        );
      },
    });
    // The last part that writes, so it is stopped before what it needs.
    stopper.add('leadership', () => leadership.stop());

    registerGauges(registry, {
      informers,
      leadership,
      waiting: watchWaiting(informers.assignments, systemClock),
      throttledUntil: () => arm?.throttledUntil() ?? new Map(),
      settingsHash: values.sidecarSettingsHash,
    });
    const metrics = await serveMetrics(parseListener('--metrics-listen', values.metricsListen), registry);
    stopper.add('metrics', () => metrics.stop());
    // `helm install --wait` waits for this: after it, the first labelled pod is injected.
    const missing = () => {
      if (!informers.synced) return `waiting for the list of ${informers.waitingFor().join(', ')}`;
      if (!leadership.known) return 'no replica leads yet';
      return leadership.leading ? missingRegistration(certificates) : undefined;
    };
    const probes = await serveSmall(parseListener('--probes-listen', values.probesListen), {
      // Path and bodies are those of aad-pod-identity: 200 whether the replica leads or not.
      '/healthz': () => ({ status: 200, body: leadership.leading ? 'Active' : 'Not Active' }),
      '/readyz': () => readinessAnswer(missing()),
    });
    stopper.add('probes', () => probes.stop());
    log.info({ version, metrics: metrics.port, probes: probes.port }, 'started');
  },
});
