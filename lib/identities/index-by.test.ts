import assert from 'node:assert/strict';
import { it } from 'node:test';
import { indexBy } from './index-by.ts';
import { interner } from './intern.ts';
import { pod } from './testing/fixtures.ts';
import { fakeInformers } from './testing/informers.ts';

it('follows the objects of a group, whether it has none, one or many', () => {
  const { pods } = fakeInformers();
  const onNode = indexBy(pods, ({ node }) => node);
  const there = (node: string) => [...onNode(node)].sort();
  assert.deepEqual(there('n1'), []);
  pods.put('app/a', pod({ node: 'n1' }));
  assert.deepEqual(there('n1'), ['app/a']);
  pods.put('app/b', pod({ node: 'n1' }));
  assert.deepEqual(there('n1'), ['app/a', 'app/b']);
  pods.put('app/a', pod({ node: 'n2' }));
  assert.deepEqual([there('n1'), there('n2')], [['app/b'], ['app/a']]);
  pods.remove('app/a');
  pods.remove('app/b');
  assert.deepEqual([there('n1'), there('n2')], [[], []]);
});

it('makes one object of equal values, also beyond the number it remembers', () => {
  const share = interner<{ name: string }>(2);
  const first = share({ name: 'a' });
  assert.equal(share({ name: 'a' }), first);
  assert.notEqual(share({ name: 'b' }), first);
  assert.deepEqual(share({ name: 'c' }), { name: 'c' });
  assert.deepEqual(share({ name: 'a' }), first);
});
