// The proxy, put together from its parts. What differs between a process and a test comes in as dependencies.

import { rowKey } from '../../api/identity-choice.ts';
import { version } from '../../api/version.ts';
import type { Clock } from '../../common/clock.ts';
import type { BrokerClient } from '../broker/client.ts';
import { createBrokerClient } from '../broker/client.ts';
import { Counts } from '../broker/counts.ts';
import { pollIdentities } from '../broker/poll.ts';
import { createReporter } from '../broker/report.ts';
import type { Fetch } from '../http.ts';
import type { IdentityStore } from '../identities/store.ts';
import { createIdentityStore } from '../identities/store.ts';
import type { Log } from '../log.ts';
import { createNonce } from '../nonce.ts';
import { createNotifier } from '../notifier.ts';
import type { ProxySettings } from '../settings.ts';
import { isPem } from '../settings.ts';
import { createBrokerSource } from '../tokens/broker-source.ts';
import { TokenCache } from '../tokens/cache.ts';
import type { ImdsClient } from '../tokens/imds-client.ts';
import { createImdsClient } from '../tokens/imds-client.ts';
import { createImdsGate } from '../tokens/imds-gate.ts';
import { createImdsSource } from '../tokens/imds-source.ts';
import type { TokenQuery, TokenResult } from '../tokens/source.ts';
import { secondsLeft } from '../tokens/token.ts';
import type { Handler } from './handler.ts';
import { createHandler } from './handler.ts';
import type { TimingSafeEqual } from './identity-header.ts';
import { createHeaderCheck } from './identity-header.ts';
import type { Metrics } from './metrics.ts';
import { createMetrics } from './metrics.ts';
import { sidecarStatusOf } from './status.ts';

export interface ProxyDependencies {
  fetch: Fetch;
  clock: Clock;
  random: () => number;
  timingSafeEqual: TimingSafeEqual;
  log: Log;
  /** The certificates of `--broker-ca` or of its file. */
  ca: string;
  readToken: () => Promise<string>;
}

export interface StartedProxy {
  handle: Handler;
  metrics: Metrics;
  /** Ends the poll and responds to the requests that wait. */
  close(): Promise<void>;
}

export function startProxy(settings: ProxySettings, dependencies: ProxyDependencies): StartedProxy {
  const { fetch, clock, random, log, timingSafeEqual } = dependencies;
  const { identityHeader, broker: brokerSettings } = settings;
  const userAgent = `aad-pod-identity-sidecar/${version}`;
  const counts = new Counts();
  const onUnreached = () => counts.add('broker_failures');
  const { url, address } = brokerSettings;
  const broker = createBrokerClient({ ...dependencies, url, address, userAgent, onUnreached });
  const imds = createImdsClient({ fetch, clock, gate: createImdsGate(clock), url: settings.imdsUrl, userAgent });
  const store = createIdentityStore(clock);
  const metrics: Metrics = createMetrics({
    cachedTokens: () => tokens.size,
    brokerContactAgeMs: () => (store.view === undefined ? undefined : clock.now() - store.view.confirmedAt),
  });
  const brokerAnswers = () => store.view !== undefined && store.contactError === undefined;
  const tokens = createTokens({ broker, imds, brokerAnswers, metrics, clock, random, log });
  dropTokensOfRemovedIdentities(store, tokens);

  const aborting = new AbortController();
  const stopping = createNotifier();
  const polling = pollIdentities({ broker, store, counts, clock, random, log, isValidCa: isPem, signal: aborting.signal });
  const handle = createHandler({
    store,
    tokens,
    imds,
    metrics,
    counts,
    clock,
    stopping,
    nonce: createNonce(),
    status: () => sidecarStatusOf({ broker, store, tokens, clock }),
    isIdentityHeader: identityHeader === undefined ? undefined : createHeaderCheck(identityHeader, timingSafeEqual),
    blockInstanceMetadata: settings.blockInstanceMetadata,
    allowEventApproval: settings.allowEventApproval,
    requestDeadlineMs: settings.requestDeadlineMs,
    unknownIdentityMs: settings.unknownIdentityMs,
    identityTtlMs: settings.identityTtlMs,
  });
  return {
    handle,
    metrics,
    async close() {
      aborting.abort();
      stopping.notify();
      await polling;
    },
  };
}

interface TokenDependencies extends Pick<ProxyDependencies, 'clock' | 'random' | 'log'> {
  broker: BrokerClient;
  imds: ImdsClient;
  brokerAnswers: () => boolean;
  metrics: Metrics;
}

function createTokens({ broker, imds, brokerAnswers, metrics, clock, random, log }: TokenDependencies): TokenCache {
  const imdsSource = createImdsSource({ imds, clock, brokerAnswers });
  const brokerSource = createBrokerSource({ broker, clock });
  const report = createReporter({ broker, clock, log });
  let loggedNotImds = false;

  const onResult = ({ row, resource }: TokenQuery, result: TokenResult) => {
    metrics.countFetch(result);
    const about = { identity: rowKey(row), resource };
    if ('token' in result) return log.info('token fetched', { ...about, secondsLeft: secondsLeft(result.token, clock.wall()) });
    const { error } = result;
    log.warn('token not fetched', { ...about, code: error.code, reason: error.message });
    if (error.code === 'identity_not_found' || error.code === 'wrong_client_id') void report(row, error.code, error.requestId);
    if (error.code === 'not_imds' && !loggedNotImds) {
      loggedNotImds = true;
      log.error(
        'responses to this proxy do not come from IMDS: an NMI of aad-pod-identity on this node takes its requests; remove it from the node',
      );
    }
  };
  return new TokenCache({ sourceOf: (row) => (row.source === 'imds' ? imdsSource : brokerSource), clock, random, onResult });
}

function dropTokensOfRemovedIdentities(store: IdentityStore, tokens: TokenCache): void {
  const onChange = () => {
    tokens.retain(store.view?.identities ?? []);
    store.changed.subscribe(onChange);
  };
  store.changed.subscribe(onChange);
}
