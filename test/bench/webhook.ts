// `npm run bench -- webhook`: creates pods behind the real API server without a webhook, with one that does nothing, with ours as the chart starts it,
// and with another one (--against webhook=COMMAND). Prints a table, asserts nothing.
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { webhookConfigurationName, webhookServiceName } from '../../api/names.ts';
import { at } from '../../common/records.ts';
import { parseQuantity } from '../../lib/kube/quantity.ts';
import type { Harness } from '../integration/webhook/harness.ts';
import { issueFor, releaseNamespace, startHarness } from '../integration/webhook/harness.ts';
import { asInChart } from './as-in-chart.ts';
import { createMemoryCgroup } from './memory-cgroup.ts';
import type { Options } from './options.ts';
import { findPid, memoryMiB } from './process-usage.ts';
import { quantile, row, textRow } from './table.ts';
import type { Measure, Measured, Subject } from './webhook/measure.ts';
import { createMeasure } from './webhook/measure.ts';
import { startOtherWebhook } from './webhook/other-webhook.ts';
import { benchNamespace, connectPodClient } from './webhook/pod-load.ts';
import { callByService, dnsNameOf } from './webhook/service.ts';

const seconds = 10;
const rates = [60, 120, 200];
const flood = { perSecond: 300, seconds: 15 };
const warmUp = { perSecond: 100, seconds: 5 };
const bareCommand = `${process.execPath} ${path.join(import.meta.dirname, 'webhook/bare-webhook.ts')} {port} {certs}`;

export async function bench({ against, webhookPath }: Pick<Options, 'against' | 'webhookPath'>): Promise<void> {
  const harness = await startHarness();
  const limit = await memoryLimitInChart(harness);
  const cgroup = createMemoryCgroup(limit);
  if (cgroup === undefined) textRow('no memory cgroup here', 'the webhook allows more connections than in its container');
  const stops = [() => harness.stop()];
  try {
    await harness.createNamespace(benchNamespace);
    const program = await asInChart('webhook');
    await harness.publishLeaf((await issueFor(['localhost', dnsNameOf('ours')], harness.ca)).leaf);
    const process = await harness.startRegistered([], { ...program, through: cgroup?.through ?? [] });
    const start = async (name: string, command: string, urlPath: string): Promise<Subject> => {
      const other = await startOtherWebhook(harness, { name, command, path: urlPath });
      stops.unshift(() => other.stop());
      return { name, labels: other.labels, webhook: other };
    };
    const none: Subject = { name: 'none', labels: { app: 'x' } };
    const bare = await start('bare', bareCommand, '/');
    const other = against.webhook === undefined ? [] : [await start('other', against.webhook, webhookPath)];
    const pid = process.process.pid ?? 0;
    const ours: Subject = { name: 'ours', labels: { aadpodidbinding: 'reader' }, webhook: { pid, port: process.port } };

    await callByService(harness.client, webhookConfigurationName, { name: 'ours', port: process.port });
    row('RSS when ready', memoryMiB(pid, 'VmRSS'), 'MiB');
    const pods = connectPodClient(harness.plane);
    stops.unshift(async () => pods.close());
    const apiServer = findPid(`--secure-port=${new URL(harness.plane.url).port}`);
    const measure = createMeasure(pods, apiServer);
    for (const subject of [none, bare, ...other, ours]) await measure(subject, warmUp);
    for (const { name, labels } of [none, ...other, ours]) {
      const prefix = `size-${name}`;
      await pods.load({ prefix, perSecond: 1, seconds: 1, labels });
      row(`${name}: a pod in etcd`, await pods.bytesInEtcd(`${prefix}-0`), 'bytes');
    }
    for (const perSecond of rates) await atRate(measure, [none, bare, ...other, ours], perSecond);
    for (const subject of [...other, ours]) {
      const { p50, p99, failed, connections } = await measure(subject, flood);
      const what = `${flood.perSecond} pods/s, ${subject.name}`;
      row(`${what}: failed`, failed, 'pods', { atMost: 0 });
      row(`${what}: create, p50`, p50, 'ms');
      row(`${what}: create, p99`, p99, 'ms');
      row(`${what}: new connections`, connections, '');
    }
    const [reference] = other.map(({ name, webhook }) => ({ what: name, value: memoryMiB(webhook?.pid ?? 0, 'VmHWM') }));
    if (reference !== undefined) row('RSS at most, beside the other', memoryMiB(pid, 'VmHWM'), 'MiB', { reference });
    row('RSS at most', memoryMiB(pid, 'VmHWM'), 'MiB', { atMost: 100 });
    const admissions = process.log.flatMap((record) => (record.msg === 'admission' && typeof record.ms === 'number' ? [record.ms] : []));
    row('from review to response, p50', quantile(admissions, 0.5), 'ms', { atMost: 1 });
    row('from review to response, p99', quantile(admissions, 0.99), 'ms', { atMost: 5 });
    await loadReviews(process.port);
    const { perSecond, p99 } = await loadReviews(process.port);
    row('reviews over keep-alive TLS, 4 connections', perSecond, 'reviews/s', { atLeast: 5_000 });
    row('the same, p99', p99, 'ms');
    row('RSS at most, after it', memoryMiB(pid, 'VmHWM'), 'MiB', { atMost: limit / 2 / 1024 ** 2 });
  } finally {
    for (const stop of stops) await stop();
    cgroup?.remove();
  }
}

async function memoryLimitInChart({ client }: Harness): Promise<number> {
  const deployment = await client.call('GET', `/apis/apps/v1/namespaces/${releaseNamespace}/deployments/${webhookServiceName}`);
  const containers = at(deployment, 'spec', 'template', 'spec', 'containers');
  const limit = parseQuantity(at(Array.isArray(containers) ? containers[0] : undefined, 'resources', 'limits', 'memory'));
  if (limit === undefined) throw new Error('the webhook of the chart has no memory limit');
  return limit;
}

/**
 * Side by side; what a webhook adds to a pod is compared with what the last one before ours adds. That is a goal beside another webhook only: the bare one
 * changes nothing.
 */
async function atRate(measure: Measure, subjects: readonly Subject[], perSecond: number): Promise<void> {
  const results = new Map<string, Measured>();
  for (const subject of subjects) results.set(subject.name, await measure(subject, { perSecond, seconds }));
  const [, none] = [...results][0] ?? [];
  const [compared, last] = [...results].at(-2) ?? [];
  if (none === undefined || compared === undefined || last === undefined) return;
  for (const [name, result] of results) {
    const what = `${perSecond} pods/s, ${name}`;
    const isOurs = name === 'ours';
    const goal = (of: (measured: Measured) => number) => (isOurs ? { reference: { what: compared, value: of(last) } } : {});
    if (name === 'none') row(`${what}: create, p50`, result.p50, 'ms');
    else
      row(`${what}: adds to create, p50`, result.p50 - none.p50, 'ms', {
        ...goal(({ p50 }) => p50 - none.p50),
        ...(isOurs && compared !== 'bare' && { atMost: 1 }),
      });
    if (name === 'none') row(`${what}: create, p99`, result.p99, 'ms');
    else
      row(`${what}: adds to create, p99`, result.p99 - none.p99, 'ms', {
        ...goal(({ p99 }) => p99 - none.p99),
        ...(isOurs && compared !== 'bare' && { atMost: 1 }),
      });
    row(
      `${what}: API server, a pod`,
      result.apiServerMs,
      'ms of processor',
      goal(({ apiServerMs }) => apiServerMs),
    );
    if (name === 'none') continue;
    row(
      `${what}: webhook, a pod`,
      result.webhookMs,
      'ms of processor',
      goal(({ webhookMs }) => webhookMs),
    );
    row(`${what}: new connections`, result.connections, '');
    if (result.failed > 0 || isOurs) row(`${what}: failed`, result.failed, 'pods', { atMost: 0 });
  }
}

/** In a process of its own: this process reads the webhook's log, and would slow the webhook by reading it slowly. */
async function loadReviews(port: number): Promise<{ perSecond: number; p99: number }> {
  const { stdout } = await promisify(execFile)(process.execPath, [path.join(import.meta.dirname, 'webhook/review-load.ts'), String(port)]);
  return JSON.parse(stdout) as { perSecond: number; p99: number };
}
