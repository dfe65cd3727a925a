import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Need } from '../../lib/identities/need.ts';
import { createDesiredState } from './desired-state.ts';
import { needOf, scopeNamed, testScope } from './testing/fixtures.ts';

const otherScope = scopeNamed('other');
const web = needOf('web', 'red');

/** The same need after a change of its AzureIdentity. */
function withIdentityVersion(need: Need, resourceVersion: string): Need {
  const { identity, binding } = need.match;
  const object = { ...identity.object, metadata: { ...identity.object.metadata, resourceVersion } };
  return { ...need, match: { binding, identity: { ...identity, object } } };
}

describe('desired state', () => {
  const known = () => {
    const desired = createDesiredState();
    desired.update('app/web', testScope, [web]);
    return desired;
  };

  it('changes the scope of a pod that needs something for the first time', () => {
    const desired = createDesiredState();
    assert.deepEqual(desired.update('app/web', testScope, [web]), [testScope.id]);
    assert.deepEqual([desired.needsOf(testScope.id), desired.scopeOf(testScope.id)], [[web], testScope]);
  });

  it('changes no scope when the needs of a pod are the same as before', () => {
    assert.deepEqual(known().update('app/web', testScope, [needOf('web', 'red')]), []);
    assert.deepEqual(createDesiredState().update('app/web', testScope, []), []);
  });

  const changes: [string, Need[]][] = [
    ['another identity', [needOf('web', 'blue')]],
    ['one more identity', [web, needOf('web', 'blue')]],
    ['no identity', []],
    ['the same identity for a new pod of its name', [{ ...web, pod: { ...web.pod, uid: 'another' } }]],
    ['an identity whose AzureIdentity was changed', [withIdentityVersion(web, '2')]],
  ];
  for (const [what, needs] of changes)
    it(`changes the scope when a pod needs ${what}`, () => {
      const desired = known();
      assert.deepEqual(desired.update('app/web', testScope, needs), [testScope.id]);
      assert.deepEqual(desired.needsOf(testScope.id), needs);
    });

  it('changes both scopes when a pod moves from one to the other', () => {
    const desired = known();
    assert.deepEqual(desired.update('app/web', otherScope, [web]), [testScope.id, otherScope.id]);
    assert.deepEqual([desired.needsOf(testScope.id), desired.needsOf(otherScope.id)], [[], [web]]);
  });

  it('forgets pod and scope when the pod needs nothing any more', () => {
    const desired = known();
    assert.deepEqual(desired.update('app/web', undefined, []), [testScope.id]);
    assert.deepEqual([desired.scopeOf(testScope.id), desired.scopeIdOfPod('app/web')], [undefined, undefined]);
  });
});
