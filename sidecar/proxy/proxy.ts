// Puts the parts of the proxy together: broker, identities, tokens, handler. Everything of the outside world comes in as a parameter.
import { version } from '../../api/version.ts';
import type { Clock } from '../../common/clock.ts';
import type { Fetch } from '../identities/broker.ts';
import { createBroker } from '../identities/broker.ts';
import { pollIdentities } from '../identities/poll.ts';
import { createIdentityStore, rowKey } from '../identities/store.ts';
import { newNonce } from '../init/selftest.ts';
import type { Log } from '../log.ts';
import { once } from '../log.ts';
import { createReport } from '../reports.ts';
import type { ProxySettings } from '../settings.ts';
import { isPem } from '../settings.ts';
import { createEvent } from '../time.ts';
import { createBrokerSource } from '../tokens/broker.ts';
import { createTokenCache } from '../tokens/cache.ts';
import { createGate } from '../tokens/gate.ts';
import { createImds, createImdsSource } from '../tokens/imds.ts';
import { secondsLeft } from '../tokens/token.ts';
import type { Handler } from './handler.ts';
import { createHandler } from './handler.ts';
import type { Metrics } from './metrics.ts';
import { createMetrics } from './metrics.ts';

export interface ProxyWorld {
  fetch: Fetch;
  clock: Clock;
  random: () => number;
  log: Log;
  /** Of `--broker-ca` or the file. */
  ca: string;
  readToken: () => Promise<string>;
}

export interface StartedProxy {
  handle: Handler;
  metrics: Metrics;
  /** Ends the poll and answers what is held. */
  close(): Promise<void>;
}

export function startProxy(settings: ProxySettings, world: ProxyWorld): StartedProxy {
  const { clock, random, log, fetch } = world;
  const userAgent = `aad-pod-identity-sidecar/${version}`;
  const ending = new AbortController();
  const closing = createEvent();
  const broker = createBroker({
    fetch,
    url: settings.broker.url,
    address: settings.broker.address,
    ca: world.ca,
    readToken: world.readToken,
    userAgent,
    clock,
  });
  const imds = createImds({ fetch, url: settings.imdsUrl, userAgent, clock });
  const store = createIdentityStore(clock);
  const report = createReport({ broker, clock, log });
  const sources = { imds: createImdsSource({ imds, gate: createGate(), clock }), broker: createBrokerSource({ broker, clock }) };
  const tellOnce = once();

  const tokens = createTokenCache({
    sourceOf: (row) => (row.type === 0 ? sources.imds : sources.broker),
    clock,
    random,
    onResult({ row, resource }, outcome) {
      metrics.fetched(outcome);
      const about = { identity: rowKey(row), resource };
      if ('token' in outcome) return log.info('token fetched', { ...about, secondsLeft: secondsLeft(outcome.token, clock.wall()) });
      const { trouble } = outcome;
      log.warn('no token', { ...about, kind: trouble.kind, reason: trouble.text });
      if (trouble.kind === 'identity_not_found' || trouble.kind === 'wrong_client_id') void report(row, trouble.kind, trouble.requestId);
      if (trouble.kind === 'not_imds') {
        tellOnce('not_imds', () =>
          log.error(
            'answers to this proxy do not come from IMDS: an NMI of aad-pod-identity on this node takes its requests; remove it from the node',
          ),
        );
      }
    },
  });
  const metrics = createMetrics({
    cachedTokens: () => tokens.size,
    brokerContactAgeMs: () => (store.view === undefined ? undefined : clock.now() - store.view.confirmedAt),
  });
  const dropGone = () => {
    tokens.retain(store.view?.identities ?? []);
    store.changed.subscribe(dropGone);
  };
  store.changed.subscribe(dropGone);

  const polling = pollIdentities({ broker, store, clock, random, log, validCa: isPem, signal: ending.signal });
  const handle = createHandler({
    store,
    tokens,
    imds,
    metrics,
    clock,
    closing,
    nonce: newNonce(),
    identityHeader: settings.identityHeader,
    blockInstanceMetadata: settings.blockInstanceMetadata,
    requestDeadlineMs: settings.requestDeadlineMs,
    unknownIdentityMs: settings.unknownIdentityMs,
    identityTtlMs: settings.identityTtlMs,
  });
  return {
    handle,
    metrics,
    async close() {
      ending.abort();
      closing.fire();
      await polling;
    },
  };
}
