import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRegistry } from '../lib/metrics.ts';
import { createMetrics } from './metrics.ts';

test('counts what each limit refuses or ends', async () => {
  const registry = createRegistry();
  const metrics = createMetrics(registry, { heldPolls: () => 0, certificateExpiry: () => undefined });
  for (const limit of ['polls', 'reviews', 'polls'] as const) metrics.countRefusal(limit);
  const text = await registry.metrics();
  assert.match(text, /^aadpodidentity_broker_limited_total\{limit="polls"\} 2$/m);
  assert.match(text, /^aadpodidentity_broker_limited_total\{limit="reviews"\} 1$/m);
});
