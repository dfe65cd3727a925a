// When a MIC of aad-pod-identity counts as running.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isAlive, lockOf, sight } from './mic-lock.ts';

const wall = Date.UTC(2026, 0, 1);
const ago = (ms: number) => new Date(wall - ms).toISOString();
const quietMs = 60_000;

describe('the lock of a MIC', () => {
  it('is read from the annotation, and anything else is no lock', () => {
    const endpoints = (text: string) => ({ metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': text } } });
    const record = { holderIdentity: 'mic-1', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00Z' };
    assert.deepEqual(lockOf(endpoints(JSON.stringify(record))), { holder: 'mic-1', renewTime: '2026-01-01T00:00:00Z' });
    for (const text of ['', 'no JSON', '[]', '{}', '{"holderIdentity":""}']) assert.equal(lockOf(endpoints(text)), undefined, text);
    assert.equal(lockOf({ metadata: {} }), undefined);
  });

  it('is forgotten where it is old at first sight, so that a MIC of last year holds nobody up', () => {
    const first = sight(undefined, { holder: 'm', renewTime: ago(quietMs) }, 1_000, wall);
    assert.equal(isAlive(first, quietMs, 1_000), false);
    assert.equal(isAlive(sight(undefined, { holder: 'm', renewTime: 'garbage' }, 1_000, wall), quietMs, 1_000), false);
    assert.equal(isAlive(undefined, quietMs, 1_000), false);
  });

  it('holds for a minute after the last renewal, counted on our clock from its age', () => {
    const first = sight(undefined, { holder: 'm', renewTime: ago(20_000) }, 100_000, wall);
    assert.equal(isAlive(first, quietMs, 139_999), true);
    assert.equal(isAlive(first, quietMs, 140_000), false);
    assert.equal(sight(first, { ...first.lock }, 130_000, wall), first);
  });

  it('is alive when it changes, whatever the clocks say', () => {
    const old = sight(undefined, { holder: 'm', renewTime: ago(3_600_000) }, 100_000, wall);
    const renewed = sight(old, { holder: 'm', renewTime: ago(3_590_000) }, 110_000, wall);
    assert.equal(isAlive(renewed, quietMs, 169_999), true);
    assert.equal(isAlive(renewed, quietMs, 170_000), false);
    const future = sight(undefined, { holder: 'm', renewTime: ago(-3_600_000) }, 100_000, wall);
    assert.equal(isAlive(future, quietMs, 159_999), true);
    assert.equal(isAlive(future, quietMs, 160_000), false);
  });
});
