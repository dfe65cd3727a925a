// For tests: a broker over real TLS on a port of its own, and a client that sends what a sidecar sends.
import assert from 'node:assert/strict';
import { Agent, request } from 'node:https';
import type { IdentityRow, TokenResponse } from '../../api/broker.ts';
import { formatCounts } from '../../api/broker.ts';
import type { Clock } from '../../common/clock.ts';
import { systemClock } from '../../common/clock.ts';
import { silentLogger } from '../../lib/log.ts';
import type { CheckedKeyPair } from '../../lib/tls/key-pair.ts';
import type { TestAuthority } from '../../lib/tls/testing/certificates.ts';
import { createTestAuthority, fakeServingCertificate } from '../../lib/tls/testing/certificates.ts';
import { BrokerError } from '../error.ts';
import { createAssertionSource } from '../federation/assertion.ts';
import type { FederationRoutes } from '../federation/routes.ts';
import type { BrokerLimit } from '../limits.ts';
import type { Report } from '../reports.ts';
import type { BrokerServerOptions } from '../server.ts';
import { startBrokerServer } from '../server.ts';
import type { Signer } from './fake-api-server.ts';
import { createSigner, fakeApiServer, signToken } from './fake-api-server.ts';
import { fakeRows } from './fake-rows.ts';

export const serverName = 'broker.home.svc';
export const podPath = '/api/v1/namespaces/team/pods/app-0';
export const row: IdentityRow = {
  name: 'id',
  namespace: 'team',
  binding: 'team/bind',
  type: 0,
  source: 'imds',
  clientID: 'c',
  resourceID: '/r',
  state: 'Created',
};

export const token: TokenResponse = {
  access_token: 'a',
  client_id: 'c',
  expires_in: '1',
  expires_on: '2',
  ext_expires_in: '1',
  not_before: '1',
  resource: 'r',
  token_type: 'Bearer',
};

/** The broker has no token for Entra. */
export const noFederation: FederationRoutes = {
  assertions: createAssertionSource({ file: '', clock: systemClock }),
  prove: async () => ({ outcome: 'failed', message: 'not in this test', retryable: false }),
};

/** What is slow to make and the same for every test. */
export interface Fixture {
  tokens: Signer;
  ca: TestAuthority;
  keyPair: CheckedKeyPair;
}

export async function createFixture(): Promise<Fixture> {
  const ca = await createTestAuthority();
  return { tokens: await createSigner('k'), ca, keyPair: await ca.issue(serverName) };
}

export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: Record<string, unknown> & { error: { code: string; message: string } };
}

export type Harness = Awaited<ReturnType<typeof startHarness>>;

/** Knows pod team/app-0 with one identity. */
export async function startHarness({ tokens, ca, keyPair }: Fixture, more: Partial<BrokerServerOptions> = {}) {
  const api = fakeApiServer();
  api.state.keys = [tokens.jwk];
  const informers = fakeRows();
  informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [row], defaultIdentity: 'id' });
  const reports: Report[] = [];
  const refusals: BrokerLimit[] = [];
  const counted: string[] = [];
  const certificate = fakeServingCertificate({ keyPair, caBundle: ca.certificate });
  /** Real time, moved forward by the test. */
  const time = { ahead: 0 };
  const clock: Clock = { ...systemClock, wall: () => systemClock.wall() + time.ahead, now: () => systemClock.now() + time.ahead };
  const broker = await startBrokerServer({
    client: api.client,
    log: silentLogger,
    listen: { host: '127.0.0.1', port: 0 },
    rows: informers.rows,
    certificate,
    home: 'home',
    nodeEndpoint: { drivers: [], podOf: () => undefined },
    onReport: (report) => reports.push(report),
    onRefused: (limit) => refusals.push(limit),
    onCounts: (reporter, counts) => {
      if (counts.size > 0) counted.push(`${reporter} ${formatCounts(counts)}`);
    },
    mintToken: () => Promise.reject(new BrokerError('token_failed', 'not in this test')),
    federation: noFederation,
    clock,
    ...more,
  });
  const agent = new Agent({ keepAlive: true, ca: ca.certificate, servername: serverName });
  const caller = { token: await signToken(tokens, clock.wall()) };

  const ask = (path: string, options: { headers?: Record<string, string>; body?: unknown; signal?: AbortSignal } = {}) =>
    new Promise<Answer>((resolve, reject) => {
      const sent = request(
        {
          host: '127.0.0.1',
          port: broker.port,
          agent,
          path,
          method: options.body === undefined ? 'GET' : 'POST',
          ...(options.signal === undefined ? {} : { signal: options.signal }),
          headers: {
            authorization: `Bearer ${caller.token}`,
            ...(options.body === undefined ? {} : { 'content-type': 'application/json' }),
            ...options.headers,
          },
        },
        async (response) => {
          let text = '';
          for await (const chunk of response.setEncoding('utf8')) text += chunk;
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text === '' ? undefined : JSON.parse(text) });
        },
      );
      sent.on('error', reject);
      sent.end(options.body === undefined ? undefined : typeof options.body === 'string' ? options.body : JSON.stringify(options.body));
    });

  return {
    api,
    informers,
    reports,
    refusals,
    /** Reports of counts, as `sidecar token:1`. */
    counted,
    certificate,
    time,
    clock,
    broker,
    caller,
    ask,
    /** Resolves when so many polls are held. */
    async untilHeld(count: number) {
      while (broker.heldPolls !== count) await new Promise((resolve) => setImmediate(resolve));
    },
    async stop() {
      agent.destroy();
      await broker.stop();
    },
  };
}

export const assertRefused = (answer: Answer, status: number, code: string): void =>
  assert.deepEqual([answer.status, answer.body.error.code], [status, code]);
