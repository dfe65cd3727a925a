import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withoutNetRaw } from './net-raw.ts';

const container = (securityContext?: unknown) => ({ name: 'app', ...(securityContext === undefined ? {} : { securityContext }) });

test('adds NET_RAW to what a container drops and keeps the rest', () => {
  for (const absent of [container(), container(null), container({ capabilities: null }), container({ capabilities: { drop: null } })])
    assert.deepEqual(withoutNetRaw(absent).securityContext, { capabilities: { drop: ['NET_RAW'] } });
  const before = container({ runAsUser: 7, capabilities: { add: ['CHOWN'], drop: ['SETUID'] } });
  assert.deepEqual(withoutNetRaw(before).securityContext, { runAsUser: 7, capabilities: { add: ['CHOWN'], drop: ['SETUID', 'NET_RAW'] } });
});

test('adds NET_RAW where only a spelling that containerd does not know drops it', () => {
  const before = container({ capabilities: { drop: ['CAP_NET_RAW'] } });
  assert.deepEqual(withoutNetRaw(before).securityContext, { capabilities: { drop: ['CAP_NET_RAW', 'NET_RAW'] } });
});

test('returns a container that drops NET_RAW or ALL, or has an odd shape, as it is', () => {
  for (const securityContext of [
    { capabilities: { drop: ['ALL'] } },
    { capabilities: { drop: ['net_raw'] } },
    'odd',
    { capabilities: 7 },
  ]) {
    const before = container(securityContext);
    assert.equal(withoutNetRaw(before), before);
  }
});
