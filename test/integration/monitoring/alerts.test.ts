// The alerts of the chart by `promtool test rules`: each fires in its case, no other one does, and a healthy release has none.
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { findPrometheus, missingForPrometheus } from '../../cluster/prometheus.ts';
import { run } from '../../cluster/run.ts';
import { alertsFile } from './chart-files.ts';

interface Alert {
  alert: string;
  labels: Record<string, string>;
  annotations: { summary: string; description: string };
}

interface Fired {
  alert: string;
  /** Beside those of the rule. */
  labels?: Record<string, string>;
  summary: string;
}

/** Values a minute apart, in the notation of promtool, by series; the names without their prefix. */
type Series = Record<string, string>;

const healthy: Series = {
  'leader{pod="a"}': '1x30',
  'leader{pod="b"}': '0x30',
  'oldest_waiting_assignment_seconds{reason="Attaching",pod="a"}': '299x30',
  'quarantined_identities{pod="a"}': '0x30',
  'webhook_certificate_expiry_seconds{instance="w"}': '2592000x30',
  'broker_certificate_expiry_seconds{instance="b"}': '691200x30',
  'uninjected_pods{reason="opted_out",pod="a"}': '3x30',
  'running_injected_pods{pod="a"}': '200x30',
  'running_injected_pods{pod="b"}': '200x30',
  'broker_connected_sidecars{pod="b1"}': '100x30',
  'broker_connected_sidecars{pod="b2"}': '98x30',
};

/** `at`: minutes. */
const scenarios: { name: string; series: Series; at: number; fired: Fired[] }[] = [
  { name: 'none fires for a healthy release', series: {}, at: 30, fired: [] },
  {
    name: 'no leader: not in the time that a new one needs',
    series: { 'leader{pod="a"}': '1 1 0x30' },
    at: 3,
    fired: [],
  },
  {
    name: 'no leader: fires once it lasts',
    series: { 'leader{pod="a"}': '1 1 0x30' },
    at: 4,
    fired: [{ alert: 'NoLeader', summary: 'No controller of aad-pod-identity-webhook leads' }],
  },
  {
    name: 'no leader: fires where no controller is scraped',
    series: { 'leader{pod="a"}': '_x30', 'leader{pod="b"}': '_x30' },
    at: 2,
    fired: [{ alert: 'NoLeader', summary: 'No controller of aad-pod-identity-webhook leads' }],
  },
  {
    name: 'waiting: fires after 5 minutes, once for the replicas and for each reason',
    series: {
      'oldest_waiting_assignment_seconds{reason="MissingRole",pod="a"}': '0+60x30',
      'oldest_waiting_assignment_seconds{reason="MissingRole",pod="b"}': '0+60x30',
    },
    at: 6,
    fired: [{ alert: 'Waiting', labels: { reason: 'MissingRole' }, summary: 'A pod waits for its Azure identity for 6m 0s: MissingRole' }],
  },
  {
    name: 'throttled: not for one closed gate',
    series: { 'throttled_until_seconds{budget="resource",pod="a"}': '60 _x30' },
    at: 10,
    fired: [],
  },
  {
    name: 'throttled: fires where a gate closes again and again',
    // Each time for a minute, open for a minute.
    series: { 'throttled_until_seconds{budget="subscription",pod="a"}': '60 _ 180 _ 300 _ 420 _ 540 _ 660 _' },
    at: 10,
    fired: [
      {
        alert: 'Throttled',
        labels: { budget: 'subscription' },
        summary: 'Azure Resource Manager throttles aad-pod-identity-webhook: subscription',
      },
    ],
  },
  {
    name: 'quarantined: fires also where the identity is tried meanwhile',
    series: { 'quarantined_identities{pod="a"}': '0 1 0 1 1 0 1 1 1 1 0x20' },
    at: 10,
    fired: [{ alert: 'Quarantined', summary: 'Identities that Azure refuses: 1' }],
  },
  {
    name: 'quarantined: ends when the identity was attached',
    series: { 'quarantined_identities{pod="a"}': '0 1 0 1 1 0 1 1 1 1 0x20' },
    at: 16,
    fired: [],
  },
  {
    name: 'certificate expiry: fires a week before the end, and without a certificate',
    series: { 'webhook_certificate_expiry_seconds{instance="w"}': '0x30', 'broker_certificate_expiry_seconds{instance="b"}': '604800x30' },
    at: 30,
    fired: ['b', 'w'].map((instance) => ({
      alert: 'CertificateExpiry',
      labels: { instance },
      summary: `The certificate of ${instance} ends soon or is missing`,
    })),
  },
  {
    name: 'uninjected pods: fires for pods that nobody meant to leave out',
    series: { 'uninjected_pods{reason="not_injected",pod="a"}': '2x30', 'uninjected_pods{reason="not_injected",pod="b"}': '2x30' },
    at: 10,
    fired: [
      { alert: 'UninjectedPods', labels: { reason: 'not_injected' }, summary: 'Labelled pods without token proxy: 2 (not_injected)' },
    ],
  },
  {
    name: 'sidecars without broker: fires beyond 1 % of the pods',
    series: { 'broker_connected_sidecars{pod="b2"}': '97x30' },
    at: 5,
    fired: [{ alert: 'SidecarsWithoutBroker', summary: 'Token proxies that do not reach the broker: 3' }],
  },
  {
    name: 'sidecars without broker: fires where no broker is scraped',
    series: { 'broker_connected_sidecars{pod="b1"}': '_x30', 'broker_connected_sidecars{pod="b2"}': '_x30' },
    at: 5,
    fired: [{ alert: 'SidecarsWithoutBroker', summary: 'Token proxies that do not reach the broker: 200' }],
  },
  {
    name: 'sidecars without broker: fires for the only pod, and not while it starts',
    series: { ...counts(1, '0 0 0 0 0x20') },
    at: 5,
    fired: [{ alert: 'SidecarsWithoutBroker', summary: 'Token proxies that do not reach the broker: 1' }],
  },
  { name: 'sidecars without broker: ends when they poll again', series: { ...counts(1, '0 0 0 1x20') }, at: 10, fired: [] },
];

function counts(pods: number, connected: string): Series {
  return {
    'running_injected_pods{pod="a"}': `${pods}x30`,
    'running_injected_pods{pod="b"}': `${pods}x30`,
    'broker_connected_sidecars{pod="b1"}': connected,
    'broker_connected_sidecars{pod="b2"}': '0x30',
  };
}

const missing = missingForPrometheus();

describe('alerts', { skip: missing.length > 0 ? `promtool needs ${missing.join('; ')}` : false }, () => {
  let promtool: string;
  let folder: string;
  let alerts: Alert[];
  before(async () => {
    ({ promtool } = await findPrometheus((line) => console.log(line)));
    folder = await mkdtemp(path.join(os.tmpdir(), 'alerts-'));
    const { groups } = parse(await readFile(alertsFile, 'utf8')) as { groups: { rules: Alert[] }[] };
    alerts = groups.flatMap(({ rules }) => rules);
  });
  after(() => rm(folder, { recursive: true, force: true }));

  const expectedOf = ({ alert, labels, annotations }: Alert, fired: readonly Fired[]) =>
    fired
      .filter((each) => alert === `AadPodIdentity${each.alert}`)
      .map((each) => ({
        exp_labels: { ...labels, ...each.labels },
        exp_annotations: { summary: each.summary, description: annotations.description },
      }));

  it('are valid rules', async () => {
    const { code, stdout, stderr } = await run(promtool, ['check', 'rules', alertsFile]);
    assert.equal(code, 0, stdout + stderr);
    assert.equal(alerts.length, 7);
  });

  it('fire when they should, and only then', async () => {
    const tests = scenarios.map(({ name, series, at, fired }) => ({
      name,
      interval: '1m',
      input_series: Object.entries({ ...healthy, ...series }).map(([each, values]) => ({ series: `aadpodidentity_${each}`, values })),
      alert_rule_test: alerts.map((each) => ({
        eval_time: `${at}m`,
        alertname: each.alert,
        exp_alerts: expectedOf(each, fired),
      })),
    }));
    const file = path.join(folder, 'tests.json');
    await writeFile(file, JSON.stringify({ rule_files: [alertsFile], evaluation_interval: '1m', tests }));
    const { code, stdout, stderr } = await run(promtool, ['test', 'rules', file], { timeoutSeconds: 60 });
    assert.equal(code, 0, stdout + stderr);
  });

  it('each fire in one of the scenarios', () => {
    const fired = new Set(scenarios.flatMap((scenario) => scenario.fired.map(({ alert }) => `AadPodIdentity${alert}`)));
    assert.deepEqual(new Set(alerts.map(({ alert }) => alert)), fired);
  });
});
