// For tests: a broker over real TLS on a port of its own, and a client that speaks to it as a sidecar does.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { Agent, request } from 'node:https';
import type { IdentityRow } from '../../api/broker.ts';
import type { KeyAndCertificate } from '../../controller/certificates/issue.ts';
import { generateKey, issueAuthority, issueLeaf } from '../../controller/certificates/issue.ts';
import { silentLogger } from '../../lib/log.ts';
import type { Report } from '../report.ts';
import type { BrokerOptions } from '../server.ts';
import { startBroker } from '../server.ts';
import type { Signer } from './cluster-tokens.ts';
import { fakeApi, mint, signer } from './cluster-tokens.ts';
import { fakeView } from './fake-view.ts';

export const name = 'broker.home.svc';
export const podPath = '/api/v1/namespaces/team/pods/app-0';
export const row: IdentityRow = {
  name: 'id',
  namespace: 'team',
  binding: 'team/bind',
  type: 0,
  clientID: 'c',
  resourceID: '/r',
  state: 'Created',
};

/** What is slow to make and the same for every test. */
export interface Fixture {
  tokens: Signer;
  ca: KeyAndCertificate;
  leaf: KeyAndCertificate;
  secondLeaf: KeyAndCertificate;
}

export async function makeFixture(): Promise<Fixture> {
  const issue = async () => ({ now: new Date(), key: await generateKey(), serial: randomBytes(16) });
  const ca = issueAuthority(await issue());
  return { tokens: await signer('k'), ca, leaf: issueLeaf(ca, [name], await issue()), secondLeaf: issueLeaf(ca, [name], await issue()) };
}

export interface Answer {
  status: number;
  headers: Record<string, unknown>;
  body: Record<string, unknown> & { error: { code: string; message: string } };
}

export type RunningBroker = Awaited<ReturnType<typeof runBroker>>;

/** Knows pod team/app-0 with one identity. `bare` has no certificate yet. */
export async function runBroker(
  { tokens, ca, leaf }: Fixture,
  extra: Partial<BrokerOptions> = {},
  first: 'certified' | 'bare' = 'certified',
) {
  const api = fakeApi();
  api.state.keys = [tokens.jwk];
  const informers = fakeView();
  informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [row], defaultIdentity: 'id' });
  const reports: Report[] = [];
  const listeners = new Set<() => void>();
  const certificate: KeyAndCertificate | undefined = first === 'certified' ? leaf : undefined;
  const bundle: string | undefined = ca.certificate;
  const published = {
    leaf: certificate,
    caBundle: bundle,
    onChange(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    tell() {
      for (const listener of listeners) listener();
    },
  };
  const clock = { ahead: 0 };
  const now = () => Date.now() + clock.ahead;
  const broker = await startBroker({
    client: api.client,
    log: silentLogger,
    listen: { host: '127.0.0.1', port: 0 },
    view: informers.view,
    published,
    onReport: (report) => reports.push(report),
    now,
    ...extra,
  });
  const agent = new Agent({ keepAlive: true, ca: ca.certificate, servername: name });
  const caller = { token: await mint(tokens, now()) };

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
    published,
    clock,
    now,
    broker,
    agent,
    caller,
    ask,
    /** Resolves when so many polls are held. */
    async hold(count: number) {
      while (broker.heldPolls !== count) await new Promise((resolve) => setImmediate(resolve));
    },
    async stop() {
      agent.destroy();
      await broker.stop();
    },
  };
}

export const refused = (answer: Answer, status: number, code: string): void =>
  assert.deepEqual([answer.status, answer.body.error.code], [status, code]);
