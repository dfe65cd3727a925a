import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { silentLogger } from '../../lib/log.ts';
import { createMicDetector } from './mic-detector.ts';

const clientWith = (holderIdentity: string, renewTime: string): KubeClient => ({
  call: async () => ({
    metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': JSON.stringify({ holderIdentity, renewTime }) } },
  }),
  // biome-ignore lint/correctness/useYield: nothing watches here.
  async *watch() {
    throw new Error('not used');
  },
  close: async () => undefined,
});

describe('createMicDetector', () => {
  it('says who holds the lock and what to do, within the length of an Event', async () => {
    const clock = createFakeClock();
    const holder = `forged-${'x'.repeat(5_000)}`;
    const client = clientWith(holder, new Date(clock.wall()).toISOString());
    const found = await createMicDetector({ client, log: silentLogger, clock, quietMs: 60_000 })(new AbortController().signal);
    assert.ok(typeof found === 'object');
    assert.ok(found.message.length <= 1024, `${found.message.length} characters`);
    assert.match(found.message, /^MIC forged-x+ of aad-pod-identity still renews its lock/);
    assert.match(found.message, /Scale it down or uninstall it.*set controller\.ignoreUpstreamLock=true$/);
  });
});
