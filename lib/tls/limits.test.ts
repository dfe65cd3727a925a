import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tlsLimits } from './limits.ts';

const MiB = 1024 * 1024;

test('derives the connection limits from the memory of the container', () => {
  assert.deepEqual(tlsLimits({ memory: 256 * MiB, connectionShare: 0.15 }), {
    maxConnections: 491,
    maxConnectionsPerSource: 245,
    firstHeaderMs: 1_000,
    maxWaiting: 1966,
    maxWaitingPerSource: 983,
  });
  const { maxConnections, maxWaiting } = tlsLimits({ memory: 512 * MiB, connectionShare: 0.5 });
  assert.deepEqual([maxConnections, maxWaiting], [3276, 3932]);
});
