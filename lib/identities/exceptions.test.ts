import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { matchingException } from './exceptions.ts';

describe('matchingException', () => {
  const matches = (podLabels: Record<string, string>) =>
    matchingException({ aadpodidbinding: 'sel', app: 'Web', tier: 'front' }, [{ name: 'e', podLabels }])?.name;

  it('applies an exception by one label with equal key, and value equal but for case', () => {
    assert.equal(matches({ missing: 'x', app: 'wEB' }), 'e');
    assert.equal(matches({ App: 'Web' }), undefined);
    assert.equal(matches({ app: 'we' }), undefined);
  });

  it('does not take properties of every JavaScript object for labels', () => {
    for (const key of ['constructor', 'toString', '__proto__']) assert.equal(matches({ [key]: 'x' }), undefined);
  });

  it('does not take the marker of the webhook for a label of the user', () => {
    const exceptions = [{ name: 'e', podLabels: { 'aadpodidentity.k8s.io/injected': 'redirect' } }];
    assert.equal(matchingException({ 'aadpodidentity.k8s.io/injected': 'redirect' }, exceptions), undefined);
  });

  it('applies an exception without labels to no pod', () => {
    assert.equal(matches({}), undefined);
  });
});
