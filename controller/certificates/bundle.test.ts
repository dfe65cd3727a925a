import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { dayMs } from '../../lib/tls/issue.ts';
import { createTestAuthority } from '../../lib/tls/testing/certificates.ts';
import { planBundle } from './bundle.ts';

const now = new Date();
const later = (days: number) => new Date(now.getTime() + days * dayMs);

/** The ConfigMap after one reconciliation; every published CA gets into the entries of the webhook. */
const applied = (stored: Record<string, string>, wanted: string, at: Date, registered = stored['ca.crt'] ?? ''): Record<string, string> => {
  const plan = planBundle({ stored, wanted, registered, now: at });
  if (plan === undefined) return stored;
  return Object.fromEntries(Object.entries({ ...stored, ...plan.data }).filter(([key]) => !plan.drop.includes(key)));
};

describe('planBundle', () => {
  let a: string;
  let b: string;
  let c: string;
  before(async () => {
    const made = await Promise.all([1, 2, 3].map(() => createTestAuthority()));
    [a = '', b = '', c = ''] = made.map(({ certificate }) => certificate);
  });

  it('publishes the first CAs alone, and then writes nothing', () => {
    assert.deepEqual(planBundle({ stored: {}, wanted: a + b, registered: '', now }), { data: { 'ca.crt': a + b }, drop: [] });
    assert.equal(planBundle({ stored: { 'ca.crt': a + b }, wanted: a + b, registered: a + b, now }), undefined);
  });

  it('keeps replaced CAs for the life of a leaf, and says since when', () => {
    const overlap = applied({ 'ca.crt': a }, b, now);
    assert.deepEqual(overlap, { 'ca.crt': b + a, 'replaced.crt': a, 'replaced-at': now.toISOString() });
    assert.deepEqual(applied(overlap, b, later(89)), overlap);
    assert.deepEqual(applied(overlap, b, later(90)), { 'ca.crt': b });
  });

  it('keeps all replaced CAs through a second change', () => {
    const twice = applied(applied({ 'ca.crt': a }, b, now), c, later(1));
    assert.deepEqual(twice, { 'ca.crt': c + b + a, 'replaced.crt': b + a, 'replaced-at': later(1).toISOString() });
  });

  it('keeps the newer CA when the older one comes back', () => {
    const back = applied(applied({ 'ca.crt': a }, b, now), a, later(1));
    assert.deepEqual(back, { 'ca.crt': a + b, 'replaced.crt': b + a, 'replaced-at': later(1).toISOString() });
  });

  it('keeps a CA that is taken out while none is added', () => {
    const less = applied({ 'ca.crt': a + b }, b, now);
    assert.equal(less['ca.crt'], b + a);
    assert.deepEqual(applied(less, b, later(90)), { 'ca.crt': b });
  });

  it('keeps no CA that is not in the entries of the webhook too', () => {
    assert.deepEqual(applied({ 'ca.crt': a + c }, a, now, a), { 'ca.crt': a });
    const forged = { 'ca.crt': a, 'replaced.crt': c, 'replaced-at': now.toISOString() };
    assert.deepEqual(applied(forged, a, now), { 'ca.crt': a });
  });

  it('forgets replaced CAs when the ConfigMap is deleted', () => {
    assert.deepEqual(applied({}, b, now, b + a), { 'ca.crt': b });
  });

  it('repairs a text that is no bundle', () => {
    assert.deepEqual(applied({ 'ca.crt': 'x' }, a, now, a), { 'ca.crt': a });
  });

  it('forgets CAs that have expired', () => {
    assert.equal(applied({ 'ca.crt': a }, b, later(3651))['ca.crt'], b);
  });

  it('keeps five replaced CAs at most', async () => {
    let data: Record<string, string> = {};
    for (let turn = 0; turn < 8; turn += 1) data = applied(data, (await createTestAuthority()).certificate, now);
    assert.equal((data['ca.crt']?.match(/BEGIN/g) ?? []).length, 6);
  });
});
