import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { silentLogger } from '../lib/log.ts';
import { sidecarModeOf, watchSidecarMode } from './sidecar-mode.ts';

test('uses native sidecars from Kubernetes 1.32 on', () => {
  const cases: [object, string][] = [
    [{ major: '1', minor: '31' }, 'classic'],
    [{ major: '1', minor: '32' }, 'native'],
    [{ major: '1', minor: '32+' }, 'native'],
    [{ major: '1', minor: '9' }, 'classic'],
    [{ major: '2', minor: '0' }, 'native'],
  ];
  for (const [version, mode] of cases) assert.equal(sidecarModeOf(version), mode, JSON.stringify(version));
});

test('refuses an API server version without numbers', () => {
  assert.throws(() => sidecarModeOf({ major: '', minor: '' }), /not numeric/);
});

test('asks no API server when the setting decides the sidecar mode', () => {
  const client = { call: async () => assert.fail('called') };
  const options = { client, log: silentLogger, clock: createFakeClock() };
  assert.equal(watchSidecarMode({ ...options, setting: 'always' }).mode, 'native');
  assert.equal(watchSidecarMode({ ...options, setting: 'never' }).mode, 'classic');
});

test('retries after a second, then follows an upgrade of the API server', async () => {
  const clock = createFakeClock();
  let respond = async (): Promise<unknown> => Promise.reject(new Error('unavailable'));
  const watch = watchSidecarMode({ client: { call: () => respond() }, log: silentLogger, clock, setting: 'auto' });
  await clock.advance(0);
  assert.equal(watch.mode, undefined);
  respond = async () => ({ major: '1', minor: '31' });
  await clock.advance(1_000);
  assert.equal(watch.mode, 'classic');
  respond = async () => ({ major: '1', minor: '32' });
  await clock.advance(300_000);
  assert.equal(watch.mode, 'native');
  watch.stop();
  assert.equal(clock.timers, 0);
});

test('sets no timer when stopped while the API server is being asked', async () => {
  const clock = createFakeClock();
  const answer = Promise.withResolvers<unknown>();
  const watch = watchSidecarMode({ client: { call: () => answer.promise }, log: silentLogger, clock, setting: 'auto' });
  watch.stop();
  answer.reject(new Error('aborted'));
  await clock.advance(0);
  assert.equal(clock.timers, 0);
});
