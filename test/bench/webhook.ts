// `npm run bench -- webhook`: the bundle behind the real API server at 200 pods a second, alone under reviews, and what it costs a pod.
// Prints a table, asserts nothing.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { bundle } from '../../tools/build.ts';
import type { Harness } from '../integration/webhook/harness.ts';
import { startHarness } from '../integration/webhook/harness.ts';
import type { WebhookProcess } from '../integration/webhook/webhook-process.ts';
import { printTable, quantile, row } from './table.ts';

const rate = 200;
const seconds = 15;

const residentMiB = (pid: number) => Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;

/** Creates pods at the rate, however long the answers take; returns how long each took, in milliseconds. */
async function createAtRate(harness: Harness, prefix: string, labels: Record<string, string>): Promise<number[]> {
  const times: number[] = [];
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
      harness.client.call('POST', '/api/v1/namespaces/bench/pods', { body }).then(() => void times.push(performance.now() - sent)),
    );
  }
  await Promise.all(pending);
  return times;
}

/** In a process of its own: this process reads the webhook's log, and would slow the webhook by reading it slowly. */
async function loadReviews(port: number): Promise<{ perSecond: number; p99: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(import.meta.dirname, 'review-load.ts'), String(port)]);
  return JSON.parse(stdout) as { perSecond: number; p99: number };
}

async function underApiServer(harness: Harness, webhook: WebhookProcess): Promise<void> {
  await createAtRate(harness, 'warm', { aadpodidbinding: 'reader' });
  const plain = await createAtRate(harness, 'plain', { app: 'x' });
  const before = webhook.log.length;
  const labelled = await createAtRate(harness, 'labelled', { aadpodidbinding: 'reader' });
  const own = webhook.log
    .slice(before)
    .flatMap((record) => (record.msg === 'admission' && typeof record.ms === 'number' ? [record.ms] : []));
  row(`webhook's own time at ${rate} pods/s, p50`, quantile(own, 0.5), 'ms', { atMost: 1 });
  row(`webhook's own time at ${rate} pods/s, p99`, quantile(own, 0.99), 'ms', { atMost: 5 });
  row('the longest of them', quantile(own, 1), 'ms', { atMost: 1000 });
  for (const [share, name] of [
    [0.5, 'p50'],
    [0.99, 'p99'],
  ] as const) {
    row(`pod create without the webhook, ${name}`, quantile(plain, share), 'ms');
    row(`pod create with the webhook, ${name}`, quantile(labelled, share), 'ms');
  }
}

const { outfile } = await bundle('webhook', { write: true });
const harness = await startHarness();
try {
  const webhook = await harness.startRegistered([], outfile);
  await harness.createNamespace('bench');
  row('RSS when ready', residentMiB(webhook.process.pid ?? 0), 'MiB');
  await underApiServer(harness, webhook);
  await loadReviews(webhook.port);
  const { perSecond, p99 } = await loadReviews(webhook.port);
  row('reviews over keep-alive TLS, 4 connections', perSecond, 'reviews/s', { atLeast: 5_000 });
  row('the same, p99', p99, 'ms');
  row('RSS after it', residentMiB(webhook.process.pid ?? 0), 'MiB', { atMost: 160 });
} finally {
  await harness.stop();
}
printTable();
