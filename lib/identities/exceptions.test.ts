// Which pods an AzurePodIdentityException leaves alone, for the webhook and for the controller.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { matchingException } from './exceptions.ts';

describe('an exception', () => {
  const matches = (podLabels: Record<string, string>) =>
    matchingException({ aadpodidbinding: 'sel', app: 'Web', tier: 'front' }, [{ name: 'e', podLabels }])?.name;

  it('matches by any one label, key exact and value without case', () => {
    assert.equal(matches({ missing: 'x', app: 'wEB' }), 'e');
    assert.equal(matches({ App: 'Web' }), undefined);
    assert.equal(matches({ app: 'we' }), undefined);
  });

  it('takes no built-in of the language for a label', () => {
    for (const key of ['constructor', 'toString', '__proto__']) assert.equal(matches({ [key]: 'x' }), undefined);
  });

  it('matches nothing without labels', () => {
    assert.equal(matches({}), undefined);
  });
});
