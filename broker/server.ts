// The identity broker's server: every replica answers every sidecar.
import { hostTokenPath, identitiesPath, reportPath, tokenPath } from '../api/broker.ts';
import { brokerAudience } from '../api/names.ts';
import type { Clock } from '../common/clock.ts';
import { systemClock } from '../common/clock.ts';
import type { Listener } from '../lib/http.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { Logger } from '../lib/log.ts';
import { memoryLimit } from '../lib/memory-limit.ts';
import type { TlsServer } from '../lib/tls/server.ts';
import { startTlsServer } from '../lib/tls/server.ts';
import type { ServingCertificate } from '../lib/tls/serving-certificate.ts';
import { createAuthenticator } from './authenticate.ts';
import { createAuthorizer } from './authorize.ts';
import { createNodeOfCaller } from './caller-node.ts';
import type { ReportedCounts, Reporter } from './counts.ts';
import { BrokerError, errorResponse } from './error.ts';
import type { FederationRoutes } from './federation/routes.ts';
import { addFederationRoutes } from './federation/routes.ts';
import type { NodeEndpointRules } from './host-token.ts';
import { createIssuerSource } from './issuer.ts';
import type { BrokerLimit } from './limits.ts';
import { connectionLimits } from './limits.ts';
import { createPodChanges } from './pod-changes.ts';
import { createPollLimit } from './poll-limit.ts';
import type { Report } from './reports.ts';
import { addRoutes } from './routes.ts';
import type { RowSource } from './rows.ts';
import type { MintToken } from './token-call.ts';

export interface BrokerServerOptions {
  client: KubeClient;
  log: Logger;
  listen: Listener;
  rows: RowSource;
  certificate: Pick<ServingCertificate, 'keyPair' | 'caBundle' | 'onChange'>;
  onReport(report: Report): void;
  mintToken: MintToken;
  federation: FederationRoutes;
  /** The release namespace. */
  home: string;
  nodeEndpoint: NodeEndpointRules;
  /** Called for each poll and request that a limit refuses or ends. */
  onRefused?(limit: BrokerLimit): void;
  /** Called for what sidecars and node endpoints have counted. */
  onCounts?(reporter: Reporter, counts: ReportedCounts): void;
  /** Bytes that the limits are derived from. Default: what the container may use. */
  memory?: number;
  clock?: Clock;
  random?: () => number;
}

export interface BrokerServer extends TlsServer {
  /** Polls that are held at this moment. */
  readonly heldPolls: number;
  /** Pods whose sidecar has a poll under way. One whose connection was cut without a word counts until its poll ends. */
  readonly connectedSidecars: number;
}

const bodyLimit = 4096;
/** Of one pod. Its sidecar has one; the others are left from before a restart or from a connection that was cut. */
const maxPollsPerPod = 4;
/** Of one node endpoint: all pods of a node may mount their volumes at once. */
const maxHostRequestsPerNode = 250;
/** Sidecars keep their connections. After this time they reconnect and spread over the replicas again. */
const maxConnectionAgeMs = 30 * 60_000;

/** Listens at once; without a certificate handshakes fail, and until the caches are complete the answer is 503. */
export async function startBrokerServer(options: BrokerServerOptions): Promise<BrokerServer> {
  const { client, log, listen, rows, certificate, onReport, mintToken, federation, clock = systemClock, random = Math.random } = options;
  const { home, nodeEndpoint, onRefused = () => undefined, onCounts = () => undefined, memory = memoryLimit() } = options;
  const issuer = createIssuerSource({ client, log, clock });
  const changes = createPodChanges(clock);
  const limits = connectionLimits(memory);
  const polls = createPollLimit({ perPod: maxPollsPerPod, total: limits.maxConnections, onEnded: () => onRefused('polls') });
  let stopping = false;

  const server = await startTlsServer({
    listen,
    log,
    certificate,
    bodyLimit,
    limits,
    clock,
    connectionAge: { maxAgeMs: maxConnectionAgeMs, random },
    errorResponse: (error, path) => errorResponse(error, path, log),
    notFound: new BrokerError(
      'not_found',
      `there is only GET ${identitiesPath}, POST ${tokenPath}, POST ${reportPath} and, with a node endpoint, POST ${hostTokenPath}`,
    ).response,
    routes: (app) => {
      const authenticate = createAuthenticator({ client, log, issuer, audience: brokerAudience, clock, onRefused });
      addFederationRoutes(app, { ...federation, home, authenticate });
      addRoutes(app, {
        rows,
        authenticate,
        authorize: createAuthorizer({ client, rows, clock, onRefused }),
        polls,
        home,
        nodeEndpoint:
          nodeEndpoint.drivers.length === 0
            ? undefined
            : {
                rules: nodeEndpoint,
                nodeOf: createNodeOfCaller({ client, clock, home }),
                requests: createPollLimit({
                  perPod: maxHostRequestsPerNode,
                  total: limits.maxConnections,
                  onEnded: () => onRefused('polls'),
                }),
              },
        changes,
        caBundle: () => certificate.caBundle,
        onReport,
        mintToken,
        onRefused,
        onCounts,
        clock,
        stopping: () => stopping,
      });
    },
  });
  const unsubscribe = [rows.onChange((podKey) => changes.notify(podKey)), certificate.onChange(() => changes.notifyAll())];

  return {
    port: server.port,
    drain: () => server.drain(),
    get heldPolls() {
      return changes.waiting;
    },
    get connectedSidecars() {
      return polls.pods;
    },
    async stop() {
      stopping = true;
      issuer.stop();
      for (const off of unsubscribe) off();
      changes.notifyAll();
      await server.stop();
    },
  };
}
