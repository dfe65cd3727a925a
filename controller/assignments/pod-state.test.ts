import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readPodState } from './pod-state.ts';
import { attachRules, cluster, testScope } from './testing/fixtures.ts';

describe('readPodState', () => {
  const cases: [what: string, azureScopes: string[], scope: unknown][] = [
    ['the scope of the node without azureScopes', [], testScope],
    ['the scope of a node inside azureScopes', ['/subscriptions/other', '/subscriptions/S/resourceGroups/G'], testScope],
    ['no scope for a node outside azureScopes', ['/subscriptions/s/resourceGroups/other'], 'outside'],
  ];
  for (const [what, azureScopes, scope] of cases)
    it(`reads ${what}`, () => {
      const caches = cluster();
      caches.addPod('a');
      assert.deepEqual(readPodState(caches.informers, 'app/a', { ...attachRules, azureScopes }).scope, scope);
    });

  it('leaves other nodes as they are with azureScopes', () => {
    const caches = cluster();
    caches.addPod('a');
    const scopeOf = (providerID: string) => {
      caches.informers.nodes.put('n1', { name: 'n1', providerID });
      return readPodState(caches.informers, 'app/a', { ...attachRules, azureScopes: ['/subscriptions/s'] }).scope;
    };
    assert.deepEqual([scopeOf(''), scopeOf('aws:///i-1')], ['pending', 'unsupported']);
  });

  it('names the identities that identityPolicy does not allow', () => {
    for (const [policy, expected] of [
      [undefined, []],
      [[], ['app/green']],
      [[{ namespaces: ['app'] }], []],
    ] as const) {
      const caches = cluster(policy);
      caches.addPod('a');
      assert.deepEqual([...readPodState(caches.informers, 'app/a', attachRules).notAllowed], expected);
    }
  });
});
