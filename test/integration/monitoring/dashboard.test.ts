// Every query of the dashboard and every alert, against a real Prometheus that scrapes the four programs while they serve one pod.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { TestContext } from 'node:test';
import { it } from 'node:test';
import { Agent, fetch as fetchWith } from 'undici';
import { parse } from 'yaml';
import { annotations } from '../../../api/names.ts';
import { rawPod } from '../../../lib/identities/decision/testing/raw-pods.ts';
import { pods, resourcePath } from '../../../lib/kube/resources.ts';
import { missingForPrometheus } from '../../cluster/prometheus.ts';
import { programFile } from '../../harness/bundles.ts';
import { startProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { pool1 } from '../azure/fixtures.ts';
import { serveBroker, serviceFlag } from '../controller/broker-service.ts';
import type { Harness } from '../controller/harness/harness.ts';
import { startHarness } from '../controller/harness/harness.ts';
import { alertsFile, monitoringFolder } from './chart-files.ts';
import type { PrometheusServer } from './prometheus-server.ts';
import { startPrometheus } from './prometheus-server.ts';

interface Panel {
  title: string;
  targets?: { expr: string }[];
}

/** Panels whose series come with faults and waiting alone, or with identities of other kinds. */
const emptyWhileHealthy = [
  'Oldest waiting identity',
  'Oldest waiting identity by reason',
  'Throttled for',
  'Failed calls',
  'Failed calls to the API server',
  'Failed admissions',
  'Refused by limits',
  'Tokens of Entra',
  'Failed requests to Entra',
  'Slow token requests',
  'Requests to the broker without a response',
];

async function queriesOfDashboard(): Promise<{ title: string; expression: string }[]> {
  const { panels } = JSON.parse(await readFile(path.join(monitoringFolder, 'dashboard.json'), 'utf8')) as { panels: Panel[] };
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ title, expression: expr.replaceAll('$__rate_interval', '30s') })),
  );
}

async function alertExpressions(): Promise<string[]> {
  const { groups } = parse(await readFile(alertsFile, 'utf8')) as { groups: { rules: { expr: string }[] }[] };
  return groups.flatMap(({ rules }) => rules.map(({ expr }) => expr));
}

/** Families of the metrics that an expression names. */
const metricsIn = (expression: string): string[] =>
  [...expression.matchAll(/\b(aadpodidentity|workqueue|controller_runtime)_\w+/g)].map(([name]) => name);

async function startWebhook(test: TestContext, harness: Harness): Promise<{ metrics: string; admit(): Promise<void> }> {
  const listeners = ['admission', 'probes', 'metrics'].map((name) => `--${name}-listen=127.0.0.1:0`);
  const file = await programFile('webhook');
  const flags = [`--kubeconfig=${harness.plane.kubeconfig}`, '--sidecar-image=sidecar:test', '--drain-delay=0', ...listeners];
  const webhook = startProgram({ name: 'webhook', command: [process.execPath, file, ...flags] });
  test.after(() => webhook.stop('SIGKILL'));
  const { admissionPort, metricsPort } = await webhook.logged(({ msg }) => msg === 'listening');
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } });
  test.after(() => dispatcher.close());
  const request = {
    uid: 'u',
    kind: { group: '', version: 'v1', kind: 'Pod' },
    operation: 'CREATE',
    namespace: 'default',
    object: rawPod(),
  };
  const body = JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', request });
  return {
    metrics: `127.0.0.1:${String(metricsPort)}`,
    async admit() {
      const send = async () => {
        const answer = await fetchWith(`https://127.0.0.1:${String(admissionPort)}/mutate`, {
          method: 'POST',
          body,
          headers: { 'content-type': 'application/json' },
          dispatcher,
        }).catch(() => undefined);
        const text = await answer?.text();
        return answer?.status === 200 && text?.includes('"allowed":true') === true;
      };
      await eventually(send, 'an admission');
    },
  };
}

const missing = missingForPrometheus();
const skip = missing.length > 0 ? `Prometheus needs ${missing.join('; ')}` : false;

it('every query of dashboard and alerts finds its metrics in Prometheus', { skip }, async (t) => {
  const harness = await startHarness();
  t.after(() => harness.stop());
  await harness.createNode('node-0', `azure://${pool1}/virtualMachines/0`);
  await harness.createIdentity('reader');
  await harness.createBinding('reader', 'reader', 'read');
  await harness.createPod('web', 'read');
  const status = { body: { status: { phase: 'Running' } }, contentType: 'application/merge-patch+json' };
  await harness.client.call('PATCH', `${resourcePath(pods, { namespace: 'default', name: 'web' })}/status`, status);
  const broker = await serveBroker(harness);
  t.after(() => broker.stop());
  const controller = await harness.startController([serviceFlag]);
  const webhook = await startWebhook(t, harness);
  const replica = await broker.startReplica();
  const sidecar = await broker.startSidecar(t, 'web', { flags: ['--metrics-listen=:0'] });
  await harness.untilAssigned('web-default-reader');
  const { metrics: controllerPort } = await controller.logged(({ msg }) => msg === 'started');
  const { metrics: brokerPort } = await replica.logged(({ msg }) => msg === 'started');
  const { metricsPort: sidecarPort } = await sidecar.logged(({ msg }) => msg === 'serving');

  const targets = {
    controller: `127.0.0.1:${String(controllerPort)}`,
    broker: `127.0.0.1:${String(brokerPort)}`,
    webhook: webhook.metrics,
    sidecar: `127.0.0.1:${String(sidecarPort)}`,
  };
  const prometheus = await startPrometheus(targets, alertsFile);
  t.after(() => prometheus.stop());
  await webhook.admit();
  const tokenUrl = `${sidecar.url}/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https://vault.azure.net`;
  assert.equal((await fetch(tokenUrl, { headers: { metadata: 'true' } })).status, 200);

  // A change of its pod ends the poll of the sidecar, and the next one reports what it counted.
  await harness.patch(pods, 'web', { metadata: { annotations: { [annotations.defaultIdentity]: 'reader' } } });

  await everyTargetIsUp(prometheus, Object.keys(targets));
  const queries = await queriesOfDashboard();
  const families = await familiesOf(prometheus);
  for (const expression of [...queries.map((query) => query.expression), ...(await alertExpressions())]) {
    const names = metricsIn(expression);
    assert.ok(names.length > 0, expression);
    for (const name of names) assert.ok(families.has(name), `no program has ${name}: ${expression}`);
    await prometheus.query(expression);
  }
  for (const { title, expression } of queries.filter((query) => !emptyWhileHealthy.includes(query.title)))
    await eventually(async () => (await prometheus.query(expression)).length > 0, `samples of "${title}": ${expression}`);
  assert.deepEqual(
    emptyWhileHealthy.filter((title) => !queries.some((query) => query.title === title)),
    [],
  );
  await eventually(async () => (await rulesOf(prometheus)).every(({ health }) => health === 'ok'), 'every alert is evaluated');
});

async function everyTargetIsUp(prometheus: PrometheusServer, jobs: string[]): Promise<void> {
  for (const job of jobs)
    await eventually(async () => (await prometheus.query(`up{job="${job}"} == 1`)).length === 1, `a scrape of ${job}`);
}

/** Names of all metrics, also of those without a sample, and the three of each histogram. */
async function familiesOf(prometheus: PrometheusServer): Promise<Set<string>> {
  const metadata = Object.entries((await prometheus.get('metadata')) as Record<string, { type: string }[]>);
  return new Set(
    metadata.flatMap(([name, [about]]) => (about?.type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name])),
  );
}

async function rulesOf(prometheus: PrometheusServer): Promise<{ name: string; health: string }[]> {
  const { groups } = (await prometheus.get('rules')) as { groups: { rules: { name: string; health: string }[] }[] };
  return groups.flatMap(({ rules }) => rules);
}
