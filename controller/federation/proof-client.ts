// Calls the broker: which subject its token has, and whether Entra exchanges it for an identity. No token comes back.
import { readFile } from 'node:fs/promises';
import { Pool } from 'undici';
import type { FederationProofRequest, FederationProofResponse, FederationResponse } from '../../api/federation.ts';
import { federationPath, federationProofPath } from '../../api/federation.ts';
import { caBundleConfigMapName, caBundleKey, ports } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import { untilAborted } from '../../lib/azure/abort.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';
import { configMaps, resourcePath, services } from '../../lib/kube/resources.ts';

export type FailedProof = Extract<FederationProofResponse, { outcome: 'failed' }>;

/** Both throw {@link BrokerUnavailableError}, or the reason of the signal. */
export interface FederationBroker {
  /** What the broker's token says of itself; an answer counts for half a minute. */
  trust(signal: AbortSignal): Promise<FederationResponse>;
  prove(request: FederationProofRequest, signal: AbortSignal): Promise<FederationProofResponse>;
}

export class BrokerUnavailableError extends Error {
  override readonly name = 'BrokerUnavailableError';
  readonly code = 'broker_unavailable';
}

export interface ProofClientOptions {
  client: KubeClient;
  /** Of the release. */
  namespace: string;
  /** Name of the broker's Service, for which its certificate is. */
  service: string;
  /** `host:port` to connect to; undefined: the ClusterIP of the Service. */
  address: string | undefined;
  /** With the projected token for the broker, which kubelet renews. */
  tokenFile: string;
  userAgent: string;
  clock: Clock;
}

const trustMs = 30_000;
/** The broker waits for Entra. */
const timeoutMs = 40_000;

export function createProofClient(options: ProofClientOptions): FederationBroker & { close(): Promise<void> } {
  const { clock, tokenFile, userAgent } = options;
  // Proofs wait for Entra, and every reconciliation waits for the trust. The broker limits the connections of one address.
  const closing = new AbortController();
  const forTrust = createConnection(options, 1);
  const forProofs = createConnection(options, 7);
  let known: { trust: FederationResponse; at: number } | undefined;
  let inFlight: Promise<FederationResponse> | undefined;

  async function call(connection: Connection, method: 'GET' | 'POST', path: string, signal: AbortSignal, body?: unknown): Promise<unknown> {
    try {
      const [pool, token] = await Promise.all([connection.pool(signal), readFile(tokenFile, 'utf8')]);
      const response = await pool.request({
        method,
        path,
        headers: {
          authorization: `Bearer ${token.trim()}`,
          'user-agent': userAgent,
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        },
        body: body === undefined ? null : JSON.stringify(body),
        signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
      });
      const text = await response.body.text();
      // A replica that is stopping answers 503: the next call may reach another one.
      if (response.statusCode >= 500) connection.drop();
      if (response.statusCode !== 200)
        throw new BrokerUnavailableError(`the broker answers HTTP ${response.statusCode} ${text.slice(0, 200)}`);
      return JSON.parse(text) as unknown;
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      if (error instanceof BrokerUnavailableError) throw error;
      // It may be the certificate: the next call reads the CA bundle again.
      connection.drop();
      throw new BrokerUnavailableError(`the broker does not answer: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  }

  async function readTrust(): Promise<FederationResponse> {
    const trust = parseTrust(await call(forTrust, 'GET', federationPath, closing.signal));
    known = { trust, at: clock.now() };
    return trust;
  }

  return {
    async trust(signal) {
      signal.throwIfAborted();
      if (known !== undefined && clock.now() - known.at < trustMs) return known.trust;
      // All reconciliations ask at once when an answer is too old.
      inFlight ??= readTrust().finally(() => {
        inFlight = undefined;
      });
      return await untilAborted(inFlight, signal);
    },
    prove: async (request, signal) => parseProof(await call(forProofs, 'POST', federationProofPath, signal, request)),
    async close() {
      closing.abort(new Error('closed'));
      forTrust.drop();
      forProofs.drop();
    },
  };
}

/** `host:port` of a Service: its ClusterIP, so that no cluster DNS is needed, as for sidecars; else its name. */
export function brokerHostOf(service: unknown, name: string): string {
  const ip = stringAt(service, 'spec', 'clusterIP') ?? '';
  const host = ip === '' || ip === 'None' ? name : ip.includes(':') ? `[${ip}]` : ip;
  return `${host}:${ports.broker.api}`;
}

type Connection = ReturnType<typeof createConnection>;

/** One pool for as long as the calls succeed. Its CAs are those that the controller gives to sidecars. */
function createConnection({ client, namespace, service, address }: ProofClientOptions, connections: number) {
  let current: Promise<Pool> | undefined;
  const servername = `${service}.${namespace}.svc`;

  async function connect(signal: AbortSignal): Promise<Pool> {
    const bundle = await client.call('GET', resourcePath(configMaps, { namespace, name: caBundleConfigMapName }), { signal });
    const ca = stringAt(bundle, 'data', caBundleKey);
    if (ca === undefined) throw new Error(`ConfigMap ${namespace}/${caBundleConfigMapName} has no ${caBundleKey} yet`);
    const host =
      address ?? brokerHostOf(await client.call('GET', resourcePath(services, { namespace, name: service }), { signal }), servername);
    return new Pool(`https://${host}`, {
      connect: { ca, servername, timeout: 5_000 },
      connections,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
    });
  }

  return {
    pool: (signal: AbortSignal) => (current ??= connect(signal)),
    drop(): void {
      // What is under way ends by itself.
      current?.then((pool) => pool.close()).catch(() => undefined);
      current = undefined;
    },
  };
}

function parseTrust(body: unknown): FederationResponse {
  const [issuer, subject, audience] = ['issuer', 'subject', 'audience'].map((key) => stringAt(body, key));
  if (!issuer || !subject || !audience)
    throw new BrokerUnavailableError('the broker does not say issuer, subject and audience of its token');
  return { issuer, subject, audience };
}

function parseProof(body: unknown): FederationProofResponse {
  const outcome = stringAt(body, 'outcome');
  if (outcome === 'proven') return { outcome };
  const message = stringAt(body, 'message');
  if (outcome !== 'failed' || message === undefined || !isRecord(body))
    throw new BrokerUnavailableError('the broker answers a proof with something else than its outcome');
  const aadsts = at(body, 'aadsts');
  const error = stringAt(body, 'error');
  return {
    outcome,
    ...(typeof aadsts === 'number' ? { aadsts } : {}),
    ...(error === undefined ? {} : { error }),
    message: message.slice(0, 1_000),
    retryable: body.retryable === true,
  };
}
