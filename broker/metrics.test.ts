import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRegistry } from '../lib/metrics.ts';
import { parseCounts } from './counts.ts';
import { createMetrics } from './metrics.ts';

const sources = { heldPolls: () => 0, connectedSidecars: () => 0, certificateExpiry: () => undefined };

test('counts what each limit refuses or ends', async () => {
  const registry = createRegistry();
  const metrics = createMetrics(registry, sources);
  for (const limit of ['polls', 'reviews', 'polls'] as const) metrics.countRefusal(limit);
  const text = await registry.metrics();
  assert.match(text, /^aadpodidentity_broker_limited_total\{limit="polls"\} 2$/m);
  assert.match(text, /^aadpodidentity_broker_limited_total\{limit="reviews"\} 1$/m);
});

test('counts exchanges by their result, errors without an entry as other', async () => {
  const registry = createRegistry();
  const { federation } = createMetrics(registry, sources);
  for (const result of ['token', 700213, 123456, undefined] as const) federation.countExchange(result);
  for (const source of ['entra', 'cache', 'cache'] as const) federation.countToken(source);
  const text = await registry.metrics();
  for (const [result, count] of Object.entries({ token: 1, 700213: 1, other: 2 }))
    assert.match(text, new RegExp(`^aadpodidentity_broker_exchanges_total\\{result="${result}"\\} ${count}$`, 'm'));
  assert.match(text, /^aadpodidentity_broker_federated_tokens_total\{source="cache"\} 2$/m);
});

test('sums what sidecars and node endpoints report, in a fixed number of series', async () => {
  const registry = createRegistry();
  const { countReported } = createMetrics(registry, sources);
  countReported('sidecar', parseCounts('token:5,refused:1,slow:2'));
  countReported('sidecar', parseCounts('token:7,broker_failures:3'));
  countReported('node_endpoint', parseCounts('unavailable:1'));
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith('aadpodidentity_reported_'));
  assert.deepEqual(lines.sort(), [
    'aadpodidentity_reported_broker_failures_total{reporter="sidecar"} 3',
    'aadpodidentity_reported_slow_token_requests_total{reporter="sidecar"} 2',
    'aadpodidentity_reported_token_requests_total{reporter="node_endpoint",result="unavailable"} 1',
    'aadpodidentity_reported_token_requests_total{reporter="sidecar",result="refused"} 1',
    'aadpodidentity_reported_token_requests_total{reporter="sidecar",result="token"} 12',
  ]);
});
