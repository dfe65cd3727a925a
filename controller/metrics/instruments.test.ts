import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRegistry } from '../../lib/metrics.ts';
import { createInstruments } from './instruments.ts';

test('exposes the counts of scopes only while they are observed', async () => {
  const registry = createRegistry();
  const instruments = createInstruments(registry);
  const samples = async () => (await registry.metrics()).split('\n').filter((line) => /^aadpodidentity_(paused|quarantined)_/.test(line));
  assert.deepEqual(await samples(), []);
  let paused = 1;
  const end = instruments.observeScopes(() => ({ paused, quarantined: 2 }));
  assert.deepEqual(await samples(), ['aadpodidentity_paused_scopes 1', 'aadpodidentity_quarantined_identities 2']);
  paused = 0;
  assert.deepEqual(await samples(), ['aadpodidentity_paused_scopes 0', 'aadpodidentity_quarantined_identities 2']);
  end();
  assert.deepEqual(await samples(), []);
});
