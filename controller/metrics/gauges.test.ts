import assert from 'node:assert/strict';
import { test } from 'node:test';
import { version } from '../../api/version.ts';
import { pod } from '../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../lib/identities/testing/informers.ts';
import { createRegistry } from '../../lib/metrics.ts';
import { registerGauges } from './gauges.ts';

function setUp() {
  const registry = createRegistry();
  const informers = fakeInformers();
  const waiting = new Map<string, number>();
  const throttledUntil = new Map<'resource' | 'subscription', number>();
  const leadership = { leading: true, known: true, remainingMs: () => 1, stop: async () => undefined };
  const settingsHash = 'now';
  registerGauges(registry, {
    informers,
    leadership,
    waiting: { oldest: () => waiting },
    throttledUntil: () => throttledUntil,
    settingsHash,
  });
  const samples = async (name: string) =>
    (await registry.metrics()).split('\n').filter((line) => new RegExp(`^aadpodidentity_${name}[ {]`).test(line));
  return { informers, waiting, throttledUntil, samples };
}

test('exposes the oldest waiting assignment of each reason while one waits', async () => {
  const { waiting, samples } = setUp();
  assert.deepEqual(await samples('oldest_waiting_assignment_seconds'), []);
  waiting.set('Throttled', 12.5).set('none', 1);
  assert.deepEqual(await samples('oldest_waiting_assignment_seconds'), [
    'aadpodidentity_oldest_waiting_assignment_seconds{reason="Throttled"} 12.5',
    'aadpodidentity_oldest_waiting_assignment_seconds{reason="none"} 1',
  ]);
});

test('exposes in seconds until when Azure must not be called', async () => {
  const { throttledUntil, samples } = setUp();
  assert.deepEqual(await samples('throttled_until_seconds'), []);
  throttledUntil.set('subscription', 1_800_000_000_500);
  assert.deepEqual(await samples('throttled_until_seconds'), [
    'aadpodidentity_throttled_until_seconds{budget="subscription"} 1800000000.5',
  ]);
});

test('counts the pods that another version or other settings injected as outdated', async () => {
  const { informers, samples } = setUp();
  for (const [name, sidecarVersion, sidecarSettings] of [
    ['current', version, 'now'],
    ['former-version', '0.0.1', 'now'],
    ['former-settings', version, 'before'],
    ['without-settings', version, ''],
  ] as const)
    informers.pods.put(`app/${name}`, pod({ key: `app/${name}`, name, sidecarVersion, sidecarSettings }));
  informers.pods.put('app/bare', pod({ key: 'app/bare', injected: false, sidecarVersion: '', sidecarSettings: '' }));
  assert.deepEqual(await samples('outdated_pods'), ['aadpodidentity_outdated_pods 3']);
});

test('counts the running pods that have a token proxy', async () => {
  const { informers, samples } = setUp();
  informers.pods.put('app/a', pod({ key: 'app/a', running: true }));
  informers.pods.put('app/b', pod({ key: 'app/b', running: false }));
  informers.pods.put('app/c', pod({ key: 'app/c', running: true, injected: false }));
  assert.deepEqual(await samples('running_injected_pods'), ['aadpodidentity_running_injected_pods 1']);
});
