import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { template } from '../testing/fixtures.ts';
import { freeMetricsPort, metricsPortWarnings, wantedMetricsPort } from './metrics-port.ts';

const withPort = (proxyMetricsPort: number) => ({ proxy: { ...template.proxy, metricsPort: proxyMetricsPort } });
const options = (proxyMetricsPort?: number) => (proxyMetricsPort === undefined ? {} : { proxyMetricsPort });

test('takes the port of the pod before that of its namespace and that of the settings', () => {
  const wanted = (pod?: number, namespace?: number) =>
    wantedMetricsPort({ options: options(pod), defaults: options(namespace) }, withPort(9000));
  assert.deepEqual(
    [wanted(), wanted(undefined, 9001), wanted(9002, 9001), wanted(0, 9001), wanted(undefined, 0)],
    [9000, 9001, 9002, 0, 0],
  );
});

test('leaves a port to the container that declares it, with a warning', () => {
  const udp = { containerPort: 9402, protocol: 'UDP' };
  const pod = parsePod(
    rawPod({ spec: { containers: [rawContainer('app', { ports: [udp] }), rawContainer('web', { ports: [{ containerPort: 9090 }] })] } }),
  );
  assert.deepEqual([freeMetricsPort(pod, 9402), freeMetricsPort(pod, 9090), freeMetricsPort(pod, 0)], [9402, 0, 0]);
  const warnings = (port: number) => metricsPortWarnings(pod, { options: {}, defaults: {} }, withPort(port));
  assert.deepEqual([warnings(0), warnings(9402)], [[], []]);
  assert.match(
    warnings(9090).join(),
    /^spec\.containers\[web\] has TCP port 9090.* annotate aadpodidentity\.k8s\.io\/proxy-metrics-port with another port/,
  );
});
