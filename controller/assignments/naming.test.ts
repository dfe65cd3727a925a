import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { identity, pod } from '../../lib/identities/testing/fixtures.ts';
import { assignmentName } from './naming.ts';

const free = () => false;

describe('assignmentName', () => {
  it('gives an object the name that upstream gives it', () => {
    assert.equal(assignmentName(pod(), identity('app/i'), free), 'web-app-i');
  });

  it('adds a stable hash to a name that the object of another pod has', () => {
    const taken = (name: string) => name === 'a-b-c-i';
    const one = assignmentName(pod({ key: 'c/a-b', namespace: 'c', name: 'a-b' }), identity('x/i'), taken);
    const other = assignmentName(pod({ key: 'b-c/a', namespace: 'b-c', name: 'a' }), identity('x/i'), taken);
    assert.match(one, /^a-b-c-i-[0-9a-f]{10}$/);
    assert.notEqual(one, other);
  });

  it('never makes a name longer than Kubernetes allows', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 253 }), fc.integer({ min: 1, max: 253 }), (podLength, identityLength) => {
        const name = assignmentName(pod({ name: 'p'.repeat(podLength) }), identity(`app/${'i'.repeat(identityLength)}`), free);
        assert.ok(name.length <= 253);
        assert.match(name, /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
      }),
    );
  });
});
