// `npm run bench -- webhook`: the bundle behind the real API server at 200 and 300 pods a second, alone under reviews, and what it costs a pod.
// A run passes when no pod is refused and 99 of 100 are there within a second.
// Prints a table, asserts nothing.
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect } from 'node:http2';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { bundle } from '../../tools/build.ts';
import type { Harness } from '../integration/webhook/harness.ts';
import { startHarness } from '../integration/webhook/harness.ts';
import type { WebhookProcess } from '../integration/webhook/webhook-process.ts';
import { quantile, row } from './table.ts';

const seconds = 15;

const residentMiB = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

interface Load {
  prefix: string;
  rate: number;
  labels: Record<string, string>;
}

/** Creates pods at the rate, however long the answers take; returns how long each took, in milliseconds, and how many were refused. */
async function createAtRate(sessions: Sessions, { prefix, rate, labels }: Load): Promise<{ times: number[]; refused: number }> {
  const times: number[] = [];
  const refusals = new Map<string, number>();
  const pending: Promise<void>[] = [];
  const began = performance.now();
  for (let index = 0; index < rate * seconds; index += 1) {
    const wait = began + (index * 1000) / rate - performance.now();
    if (wait > 1) await delay(wait);
    const sent = performance.now();
    const body = {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: `${prefix}-${index}`, labels },
      spec: { containers: [{ name: 'app', image: 'app:1' }] },
    };
    pending.push(
      sessions.createPod(body).then(
        () => void times.push(performance.now() - sent),
        (error: unknown) => void refusals.set(String(error), (refusals.get(String(error)) ?? 0) + 1),
      ),
    );
  }
  await Promise.all(pending);
  for (const [error, count] of refusals) console.error(`  ${count} refused: ${error}`);
  return { times, refused: rate * seconds - times.length };
}

interface Sessions {
  /** Rejects with the answer of the API server that refuses it. */
  createPod(body: unknown): Promise<void>;
  close(): void;
}

/** HTTP/2, as the controllers of Kubernetes speak it. A connection for each request would make the API server busy with handshakes of ours. */
function openSessions({ url, ca, token }: Harness['plane']): Sessions {
  const sessions = Array.from({ length: 4 }, () => connect(url, { ca }));
  let turn = 0;
  return {
    async createPod(body) {
      turn += 1;
      const stream = sessions[turn % sessions.length]?.request({
        ':method': 'POST',
        ':path': '/api/v1/namespaces/bench/pods',
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
      });
      if (stream === undefined) throw new Error('there is no session');
      stream.end(JSON.stringify(body));
      const [headers] = (await once(stream, 'response')) as [{ ':status'?: number }];
      const answer = await text(stream);
      if (headers[':status'] !== 201) throw new Error(answer);
    },
    close: () => {
      for (const session of sessions) session.close();
    },
  };
}

/** In a process of its own: this process reads the webhook's log, and would slow the webhook by reading it slowly. */
async function loadReviews(port: number): Promise<{ perSecond: number; p99: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(import.meta.dirname, 'review-load.ts'), String(port)]);
  return JSON.parse(stdout) as { perSecond: number; p99: number };
}

async function underApiServer(sessions: Sessions, webhook: WebhookProcess): Promise<void> {
  const plain = { app: 'x' };
  const labelled = { aadpodidbinding: 'reader' };
  await createAtRate(sessions, { prefix: 'warm', rate: 200, labels: labelled });
  for (const rate of [200, 300]) {
    const without = await createAtRate(sessions, { prefix: `plain-${rate}`, rate, labels: plain });
    const before = webhook.log.length;
    const { times, refused } = await createAtRate(sessions, { prefix: `labelled-${rate}`, rate, labels: labelled });
    const own = webhook.log
      .slice(before)
      .flatMap((record) => (record.msg === 'admission' && typeof record.ms === 'number' ? [record.ms] : []));
    row(`pods refused at ${rate} pods/s`, refused, 'pods', { atMost: 0 });
    row("webhook's own time, p50", quantile(own, 0.5), 'ms', { atMost: 1 });
    row("webhook's own time, p99", quantile(own, 0.99), 'ms', { atMost: 5 });
    row('pod create without the webhook, p50', quantile(without.times, 0.5), 'ms');
    row('pod create with the webhook, p50', quantile(times, 0.5), 'ms');
    row('pod create without the webhook, p99', quantile(without.times, 0.99), 'ms');
    row('pod create with the webhook, p99', quantile(times, 0.99), 'ms', { atMost: 1000 });
  }
}

export async function bench(): Promise<void> {
  const { outfile } = await bundle('webhook', { write: true });
  const harness = await startHarness();
  try {
    const webhook = await harness.startRegistered([], outfile);
    await harness.createNamespace('bench');
    row('RSS when ready', residentMiB(webhook.process.pid ?? 0), 'MiB');
    const sessions = openSessions(harness.plane);
    await underApiServer(sessions, webhook);
    sessions.close();
    await loadReviews(webhook.port);
    const { perSecond, p99 } = await loadReviews(webhook.port);
    row('reviews over keep-alive TLS, 4 connections', perSecond, 'reviews/s', { atLeast: 5_000 });
    row('the same, p99', p99, 'ms');
    row('RSS after it', residentMiB(webhook.process.pid ?? 0), 'MiB', { atMost: 160 });
  } finally {
    await harness.stop();
  }
}
