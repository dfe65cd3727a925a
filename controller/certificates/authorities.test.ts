import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { dayMs, generateKey, issueAuthority, issueLeaf } from '../../lib/tls/issue.ts';
import type { KeyPair } from '../../lib/tls/key-pair.ts';
import type { Authorities, StoredAuthorities } from './authorities.ts';
import { bundleOf, planAuthorities, readAuthorities, writeAuthorities } from './authorities.ts';
import { lifeOf } from './leaf.ts';

const start = new Date('2026-01-01T00:00:00Z');
const day = (days: number) => new Date(start.getTime() + days * dayMs);

describe('certificate authorities', () => {
  let key: string;
  const authority = (days: number): KeyPair => issueAuthority({ now: day(days), key, serial: randomBytes(16) });
  before(async () => {
    key = await generateKey();
  });

  /** What a reconciliation stores: the CAs that were kept, and new ones. */
  const settle = (stored: StoredAuthorities, days: number): Authorities => {
    const kept = planAuthorities(stored, day(days));
    return { ...kept, current: kept.current ?? authority(days), next: kept.next ?? authority(days) };
  };

  it('keeps none where none is stored', () => {
    assert.deepEqual(planAuthorities({}, start), {});
  });

  it('keeps both before two thirds of the life, or until the next is a year old', () => {
    const stored = { current: authority(0), next: authority(0) };
    assert.deepEqual(planAuthorities(stored, day(2400)), stored);
    const young = { current: authority(0), next: authority(2300) };
    assert.deepEqual(planAuthorities(young, day(2500)), young);
  });

  it('signs with the next CA after two thirds and trusts the old one for its leaves', () => {
    const stored = { current: authority(0), next: authority(0) };
    const rotated = settle(stored, 2500);
    assert.equal(rotated.current, stored.next);
    assert.equal(rotated.previous, stored.current.certificate);
    assert.equal(bundleOf(rotated), rotated.current.certificate + rotated.next.certificate + stored.current.certificate);
    assert.equal(planAuthorities(rotated, day(2580)).previous, stored.current.certificate);
    const later = planAuthorities(rotated, day(2600));
    assert.deepEqual(later, { current: rotated.current, next: rotated.next });
  });

  it('publishes every CA a year before it signs, over fifty years of rotations', () => {
    let stored: StoredAuthorities = {};
    const known = new Map<string, number>();
    let signing = '';
    let rotations = 0;
    for (let days = 0; days < 50 * 365; days += 30) {
      const settled = settle(stored, days);
      for (const certificate of [settled.current.certificate, settled.next.certificate])
        if (!known.has(certificate)) known.set(certificate, days);
      if (settled.current.certificate !== signing) {
        if (signing !== '') {
          rotations += 1;
          assert.ok(days - (known.get(settled.current.certificate) ?? days) >= 365, `CA signs unannounced on day ${days}`);
        }
        signing = settled.current.certificate;
      }
      assert.ok(new Date(lifeEnd(settled.current)) > day(days + 90));
      stored = readAuthorities(writeAuthorities(settled));
    }
    assert.ok(rotations >= 5, `${rotations} rotations`);
  });

  it('issues new CAs after eleven years without a reconciliation', () => {
    const settled = settle({ current: authority(0), next: authority(0) }, 4015);
    assert.ok(lifeEnd(settled.current) > day(4015).getTime() && lifeEnd(settled.next) > day(4015).getTime());
  });

  it('replaces damaged CAs, and ignores anything else in the Secret', () => {
    const good = { current: authority(0), next: authority(0) };
    const data = writeAuthorities(good);
    assert.deepEqual(planAuthorities(readAuthorities({ ...data, 'current.crt': 'x' }), day(1)), { current: good.next });
    assert.deepEqual(planAuthorities(readAuthorities({ ...data, 'next.key': '' }), day(1)), { current: good.current });
    assert.deepEqual(readAuthorities({ 'current.crt': 'x', extra: 'y' }), {});
    const leaf = issueLeaf(good.current, ['a'], { now: start, key, serial: randomBytes(16) });
    assert.deepEqual(readAuthorities({ 'current.crt': leaf.certificate, 'current.key': leaf.key }), {});
    assert.deepEqual(
      readAuthorities({ ...data, 'next.crt': good.current.certificate }),
      { current: good.current },
      'the same CA twice would leave nothing to rotate to',
    );
  });
});

function lifeEnd({ certificate }: KeyPair): number {
  return lifeOf(certificate).notAfter;
}
