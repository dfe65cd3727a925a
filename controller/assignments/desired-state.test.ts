// When a scope has to hear of what a pod needs.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { scopeOfId } from '../../lib/azure/resource-ids.ts';
import { need, testScope } from '../scopes/testing/scope.ts';
import { createDemand } from './desired-state.ts';

const other = scopeOfId(testScope.displayId.replace(/set$/, 'other'));
assert.ok(other);

describe('what a pod needs', () => {
  const web = need('web', 'red');
  const known = () => {
    const demand = createDemand();
    demand.set('app/web', testScope, [web]);
    return demand;
  };

  it('is news to its scope', () => {
    assert.deepEqual(createDemand().set('app/web', testScope, [web]), [testScope.id]);
  });

  it('is no news where it is the same as before', () => {
    assert.deepEqual(known().set('app/web', testScope, [need('web', 'red')]), []);
    assert.deepEqual(createDemand().set('app/web', testScope, []), []);
  });

  const changes: [string, ReturnType<typeof need>[]][] = [
    ['another identity', [need('web', 'blue')]],
    ['one more', [web, need('web', 'blue')]],
    ['no identity', []],
    ['the same for a new pod of that name', [{ ...web, pod: { ...web.pod, uid: 'another' } }]],
  ];
  for (const [what, needs] of changes)
    it(`is news where it is ${what}`, () => {
      const demand = known();
      assert.deepEqual(demand.set('app/web', testScope, needs), [testScope.id]);
      assert.deepEqual(demand.needsOf(testScope.id), needs);
    });

  it('is news to both scopes where the pod moves from one to the other', () => {
    const demand = known();
    assert.deepEqual(new Set(demand.set('app/web', other, [web])), new Set([testScope.id, other.id]));
    assert.deepEqual([demand.needsOf(testScope.id), demand.needsOf(other.id)], [[], [web]]);
    assert.deepEqual(demand.set('app/web', undefined, []), [other.id]);
  });
});
