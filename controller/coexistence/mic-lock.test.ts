import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isHeld, lockOf, observeLock } from './mic-lock.ts';

const wall = Date.UTC(2026, 0, 1);
const ago = (ms: number) => new Date(wall - ms).toISOString();
const quietMs = 60_000;

describe('the lock of a MIC', () => {
  it('reads holder and renewal of a MIC lock from the annotation', () => {
    const endpoints = (text: string) => ({ metadata: { annotations: { 'control-plane.alpha.kubernetes.io/leader': text } } });
    const record = { holderIdentity: 'mic-1', leaseDurationSeconds: 15, renewTime: '2026-01-01T00:00:00Z' };
    assert.deepEqual(lockOf(endpoints(JSON.stringify(record))), { holder: 'mic-1', renewTime: '2026-01-01T00:00:00Z' });
    for (const text of ['', 'no JSON', '[]', '{}', '{"holderIdentity":""}']) assert.equal(lockOf(endpoints(text)), undefined, text);
    assert.equal(lockOf({ metadata: {} }), undefined);
  });

  it('treats a MIC lock as not held that is old when it is first observed', () => {
    const first = observeLock(undefined, { holder: 'm', renewTime: ago(quietMs) }, 1_000, wall);
    assert.equal(isHeld(first, quietMs, 1_000), false);
    assert.equal(isHeld(observeLock(undefined, { holder: 'm', renewTime: 'garbage' }, 1_000, wall), quietMs, 1_000), false);
    assert.equal(isHeld(undefined, quietMs, 1_000), false);
  });

  it('treats a MIC lock as held until its last renewal is old enough', () => {
    const first = observeLock(undefined, { holder: 'm', renewTime: ago(20_000) }, 100_000, wall);
    assert.equal(isHeld(first, quietMs, 139_999), true);
    assert.equal(isHeld(first, quietMs, 140_000), false);
    assert.equal(observeLock(first, { ...first.lock }, 130_000, wall), first);
  });

  it('treats a MIC lock as held when it changes, whatever the clocks say', () => {
    const old = observeLock(undefined, { holder: 'm', renewTime: ago(3_600_000) }, 100_000, wall);
    const renewed = observeLock(old, { holder: 'm', renewTime: ago(3_590_000) }, 110_000, wall);
    assert.equal(isHeld(renewed, quietMs, 169_999), true);
    assert.equal(isHeld(renewed, quietMs, 170_000), false);
    const future = observeLock(undefined, { holder: 'm', renewTime: ago(-3_600_000) }, 100_000, wall);
    assert.equal(isHeld(future, quietMs, 159_999), true);
    assert.equal(isHeld(future, quietMs, 160_000), false);
  });
});
