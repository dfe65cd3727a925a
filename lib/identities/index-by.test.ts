import assert from 'node:assert/strict';
import { it } from 'node:test';
import { indexBy } from './index-by.ts';
import { pod } from './testing/fixtures.ts';
import { fakeInformers } from './testing/informers.ts';

it('indexes objects by a value, whether none, one or many have it', () => {
  const { pods } = fakeInformers();
  const onNode = indexBy(pods, ({ node }) => node);
  const keysOn = (node: string) => [...onNode(node)].sort();
  assert.deepEqual(keysOn('n1'), []);
  pods.put('app/a', pod({ node: 'n1' }));
  assert.deepEqual(keysOn('n1'), ['app/a']);
  pods.put('app/b', pod({ node: 'n1' }));
  assert.deepEqual(keysOn('n1'), ['app/a', 'app/b']);
  pods.put('app/a', pod({ node: 'n2' }));
  assert.deepEqual([keysOn('n1'), keysOn('n2')], [['app/b'], ['app/a']]);
  pods.remove('app/a');
  pods.remove('app/b');
  assert.deepEqual([keysOn('n1'), keysOn('n2')], [[], []]);
});
