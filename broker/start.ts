// Puts the broker together: informers, the serving certificate, the minter of tokens, the server.
import os from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { brokerServiceName } from '../api/names.ts';
import { version } from '../api/version.ts';
import { systemClock as clock } from '../common/clock.ts';
import { entraHosts } from '../lib/azure/clouds.ts';
import { parseListener, readinessAnswer, serveSmall } from '../lib/http.ts';
import type { FederationRecords } from '../lib/identities/federation/records.ts';
import type { IdentityInformers } from '../lib/identities/informers.ts';
import { startIdentityInformers } from '../lib/identities/informers.ts';
import type { PolicySubject } from '../lib/identities/policy.ts';
import { isAllowed, isAllowedAsClaimed } from '../lib/identities/policy.ts';
import type { PolicyCheck } from '../lib/identities/policy-check.ts';
import type { InvalidIdentityReason } from '../lib/identities/reasons.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { connect } from '../lib/kube/client.ts';
import type { EventRecorder } from '../lib/kube/events.ts';
import { createEventRecorder } from '../lib/kube/events.ts';
import type { Logger } from '../lib/log.ts';
import { createRegistry, serveMetrics } from '../lib/metrics.ts';
import type { Stopper } from '../lib/shutdown.ts';
import { followServingCertificate } from '../lib/tls/serving-certificate.ts';
import { userAgentOf } from '../lib/user-agent.ts';
import type { Entra } from './entra.ts';
import { connectEntra } from './entra.ts';
import type { AssertionSource } from './federation/assertion.ts';
import { createAssertionSource } from './federation/assertion.ts';
import { createFederatedMinter } from './federation/minter.ts';
import { createProver } from './federation/proof.ts';
import { createUnknownReporter } from './federation/report.ts';
import type { Metrics } from './metrics.ts';
import { createMetrics } from './metrics.ts';
import { missing } from './readiness.ts';
import { createReportWriter } from './reports.ts';
import { createRowSource } from './rows.ts';
import { startBrokerServer } from './server.ts';
import type { BrokerSettings } from './settings.ts';
import type { MintToken } from './token-call.ts';
import { createMinter } from './token-call.ts';
import { createTokenMinter } from './token-minter.ts';

/** Returns once everything listens. Throws {@link SettingsError} for settings that cannot be used. */
export async function startBroker(values: BrokerSettings, { log, stopper }: { log: Logger; stopper: Stopper }): Promise<void> {
  const listen = {
    broker: parseListener('--broker-listen', values.brokerListen),
    probes: parseListener('--probes-listen', values.probesListen),
    metrics: parseListener('--metrics-listen', values.metricsListen),
  };
  const entra = connectEntra(values);
  const managed = values.operationMode === 'managed';
  const client = connect({
    kubeconfig: values.kubeconfig || undefined,
    userAgent: userAgentOf('broker', values.customUserAgent),
    qps: values.clientQps,
  });
  stopper.add('API client', () => client.close());
  const policy = values.identityPolicy;
  const informers = startIdentityInformers({
    client,
    log,
    rules: { forceNamespaced: values.forceNamespaced || managed, bindingNamespaces: values.bindingNamespaces },
    policy,
    recordNamespace: managed ? undefined : values.namespace,
  });
  stopper.add('informers', () => informers.stop());
  const records = informers.federation;
  const policies = createPolicies(values, informers);
  const assertions = createAssertionSource({ file: values.federatedTokenFile, clock });
  const events = createEventRecorder({ client, log, instance: values.instance || os.hostname() });
  stopper.add('events', () => events.flush());
  const { namespace, certificateMode: mode, certificateSecret: secret } = values;
  const certificate = followServingCertificate({
    client,
    log,
    source: { mode, namespace, secret, chartValue: 'certificates.provided.brokerSecret', dnsName: `${brokerServiceName}.${namespace}.svc` },
  });
  stopper.add('certificate', () => certificate.stop());

  let draining = false;
  const registry = createRegistry();
  const metrics = createMetrics(registry, {
    heldPolls: () => server.heldPolls,
    connectedSidecars: () => server.connectedSidecars,
    certificateExpiry: () => certificate.keyPair?.chain[0].validToDate,
  });
  const server = await startBrokerServer({
    client,
    log,
    listen: listen.broker,
    rows: createRowSource(informers, { managed, runtimeExceptions: values.runtimeExceptions, modes: values, ...policies }),
    certificate,
    home: values.namespace,
    nodeEndpoint: {
      drivers: values.nodeEndpointDrivers,
      podOf: (key) => {
        const pod = informers.pods.get(key);
        return pod === undefined ? undefined : { pod, excepted: informers.matches.isExcepted(pod) };
      },
    },
    onReport: createReportWriter({ client, log, informers, clock }),
    onRefused: metrics.countRefusal,
    onCounts: metrics.countReported,
    mintToken: createMinting({ client, log, events, informers, records, policies, values, entra, assertions, metrics }),
    federation: {
      assertions,
      prove: createProver({ ...entra, assertions, onResult: metrics.federation.countExchange }),
    },
  });
  stopper.add('server', () => server.stop());
  const metricsServer = await serveMetrics(listen.metrics, registry);
  stopper.add('metrics', () => metricsServer.stop());
  const probes = await serveSmall(listen.probes, {
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => readinessAnswer(missing({ informers, certificate, draining })),
  });
  stopper.add('probes', () => probes.stop());

  // Stops first: the Service drops this endpoint while polls are still held.
  stopper.add('drain', async () => {
    draining = true;
    server.drain();
    await delay(values.drainDelay * 1000);
  });
  log.info({ version, broker: server.port, metrics: metricsServer.port, probes: probes.port }, 'started');
}

interface Policies {
  isAllowed: PolicyCheck;
  isAllowedAsClaimed: PolicyCheck;
  isAllowedPrincipal(subject: PolicySubject): boolean;
}

/** identityPolicy with the labels that namespaces have now. */
function createPolicies({ identityPolicy }: BrokerSettings, { namespaces, matches }: IdentityInformers): Policies {
  const labelsOf = (namespace: string) => namespaces?.get(namespace)?.labels;
  return {
    isAllowed: matches.isAllowed,
    isAllowedAsClaimed: (identity) => isAllowedAsClaimed(identityPolicy, identity, labelsOf(identity.namespace)),
    isAllowedPrincipal: (subject) => isAllowed(identityPolicy, subject, labelsOf(subject.namespace)),
  };
}

interface MintingParts {
  client: KubeClient;
  log: Logger;
  events: EventRecorder<InvalidIdentityReason>;
  informers: IdentityInformers;
  records: FederationRecords;
  policies: Policies;
  values: BrokerSettings;
  entra: Entra;
  assertions: AssertionSource;
  metrics: Metrics;
}

function createMinting(parts: MintingParts): MintToken {
  const { client, log, events, informers, records, policies, values, entra, assertions, metrics } = parts;
  const { authority, network } = entra;
  const mintForPrincipal = createTokenMinter({
    client,
    log,
    events,
    identityOf: (key) => informers.identities.get(key)?.object,
    rules: {
      authority,
      knownHosts: entraHosts,
      allowCrossNamespaceSecrets: values.allowCrossNamespaceSecrets,
      isAllowed: policies.isAllowedPrincipal,
    },
    network,
    clock,
  });
  const mintFederated = createFederatedMinter({
    log,
    events,
    identityOf: (key) => informers.identities.get(key),
    rules: { authority, managed: values.operationMode === 'managed', records, ...policies },
    assertions,
    network,
    clock,
    random: Math.random,
    metrics: metrics.federation,
    onUnknown: createUnknownReporter({ client, log, informers, clock }),
  });
  return createMinter({ mintForPrincipal: metrics.countTokens(mintForPrincipal), mintFederated });
}
