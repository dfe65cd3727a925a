// What the chart makes for Prometheus and Grafana.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { loadYaml as load } from '@kubernetes/client-node';
import { injectedLabel, ports, proxyMetricsPortName } from '../../api/names.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import type { KubeObject } from './render.ts';
import { chart, find, podOf, render } from './render.ts';

const programs = ['broker', 'controller', 'webhook'] as const;
const deploymentOf = { broker: 'aad-pod-identity-broker', controller: 'aad-pod-identity-controller', webhook: 'aad-pod-identity-webhook' };
const enabled = (...parts: string[]) => parts.flatMap((part) => ['--set', `monitoring.${part}.enabled=true`]);
const fileOf = (name: string) => readFileSync(path.join(chart, 'monitoring', name), 'utf8');
const matches = (labels: Record<string, string>, selector: object) =>
  Object.entries(selector).every(([name, value]) => labels[name] === value);

describe('monitoring in the chart', () => {
  it('makes nothing by default', async () => {
    const objects = await render();
    assert.deepEqual(
      objects.filter(({ kind }) => kind === 'PodMonitor' || kind === 'PrometheusRule'),
      [],
    );
    const names = objects.map((object) => stringAt(object, 'metadata', 'name') ?? '');
    assert.deepEqual(
      names.filter((name) => /metrics|dashboard/.test(name)),
      [],
    );
  });

  it('makes a Service for each program, which has its metrics port', async () => {
    const objects = await render(...enabled('services'), '--set-string', 'monitoring.services.annotations.prometheus\\.io/scrape=true');
    for (const program of programs) {
      const service = find(objects, 'Service', `aad-pod-identity-${program}-metrics`);
      assert.deepEqual(at(service, 'metadata', 'annotations'), { 'prometheus.io/scrape': 'true' });
      const { labels, spec } = podOf(objects, deploymentOf[program]);
      assert.ok(matches(labels, at(service, 'spec', 'selector') as object), `selects the pods of the ${program}`);
      assert.deepEqual(at(service, 'spec', 'ports'), [{ name: 'metrics', port: ports[program].metrics, targetPort: 'metrics' }]);
      const [container] = spec.containers as { ports: { name: string; containerPort: number }[] }[];
      assert.ok(container?.ports.some(({ name, containerPort }) => name === 'metrics' && containerPort === ports[program].metrics));
    }
  });

  it('makes a PodMonitor for the three programs, with labels and interval', async () => {
    const set = 'monitoring.podMonitor.interval=30s,monitoring.podMonitor.labels.release=stack';
    const objects = await render(...enabled('podMonitor'), '--set', set, '--set', 'nodeEndpoint.enabled=true');
    const monitors = objects.filter(({ kind }) => kind === 'PodMonitor');
    assert.equal(monitors.length, 1);
    const [monitor] = monitors;
    assert.equal(stringAt(monitor, 'metadata', 'labels', 'release'), 'stack');
    assert.deepEqual(at(monitor, 'spec', 'podMetricsEndpoints'), [{ port: 'metrics', interval: '30s' }]);
    for (const program of programs)
      assert.ok(matches(podOf(objects, deploymentOf[program]).labels, at(monitor, 'spec', 'selector', 'matchLabels') as object));
    assert.deepEqual(at(monitor, 'spec', 'selector', 'matchExpressions'), [
      { key: 'app.kubernetes.io/component', operator: 'In', values: [...programs] },
    ]);
  });

  it('makes a PodMonitor for token proxies, by the port that the webhook names', async () => {
    const objects = await render(...enabled('podMonitor'), '--set', 'monitoring.podMonitor.sidecars=true');
    const { spec } = find(objects, 'PodMonitor', 'aad-pod-identity-sidecars');
    assert.deepEqual(spec, {
      namespaceSelector: { any: true },
      selector: { matchExpressions: [{ key: injectedLabel, operator: 'In', values: ['redirect', 'none'] }] },
      podMetricsEndpoints: [{ port: proxyMetricsPortName }],
    });
  });

  it('makes a PrometheusRule of the alerts', async () => {
    const objects = await render(...enabled('prometheusRule'), '--set', 'monitoring.prometheusRule.labels.release=stack');
    const rule = find(objects, 'PrometheusRule', 'aad-pod-identity');
    assert.deepEqual(rule.spec, load(fileOf('alerts.yaml')));
    assert.equal(stringAt(rule, 'metadata', 'labels', 'release'), 'stack');
  });

  it("makes a ConfigMap of the dashboard, with the label of Grafana's sidecar", async () => {
    const objects = await render(...enabled('dashboard'), '--set', 'monitoring.dashboard.annotations.grafana_folder=Azure');
    const map: KubeObject = find(objects, 'ConfigMap', 'aad-pod-identity-dashboard');
    assert.equal(stringAt(map, 'metadata', 'labels', 'grafana_dashboard'), '1');
    assert.equal(stringAt(map, 'metadata', 'annotations', 'grafana_folder'), 'Azure');
    assert.deepEqual(JSON.parse(stringAt(map, 'data', 'aad-pod-identity.json') ?? ''), JSON.parse(fileOf('dashboard.json')));
  });

  it('refuses a port for token proxies that they cannot take', async () => {
    for (const port of ['80', '2579', '70000'])
      await assert.rejects(render('--set', `sidecar.proxyMetricsPort=${port}`), /proxyMetricsPort/, port);
  });
});
