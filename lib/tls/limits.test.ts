import assert from 'node:assert/strict';
import { test } from 'node:test';
import { tlsLimits } from './limits.ts';

const MiB = 1024 * 1024;

test('derives all limits from the memory of the container', () => {
  assert.deepEqual(tlsLimits({ memory: 256 * MiB, connectionShare: 0.08, bodyShare: 0.15 }), {
    maxConnections: 262,
    maxConnectionsPerSource: 131,
    quietMs: 6_000,
    maxWaiting: 983,
    maxWaitingPerSource: 491,
    maxBodyBytes: 40_265_318,
    bodyMs: 1_000,
  });
  const { maxConnections, maxBodyBytes } = tlsLimits({ memory: 512 * MiB, connectionShare: 0.5, bodyShare: 0.05 });
  assert.deepEqual([maxConnections, maxBodyBytes], [3276, 26_843_545]);
});
