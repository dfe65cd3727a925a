import assert from 'node:assert/strict';
import { test } from 'node:test';
import { countBy } from './count-by.ts';
import { pod } from './testing/fixtures.ts';
import { fakeInformers } from './testing/informers.ts';

test('counts the objects of a value as they come, change and go', () => {
  const { pods } = fakeInformers();
  const count = countBy(pods, ({ node }) => (node === '' ? undefined : node));
  pods.put('app/a', pod({ key: 'app/a' }));
  pods.put('app/b', pod({ key: 'app/b' }));
  pods.put('app/c', pod({ key: 'app/c', node: '' }));
  assert.deepEqual([count('n1'), count('n2')], [2, 0]);
  pods.put('app/b', pod({ key: 'app/b', node: 'n2' }));
  pods.put('app/c', pod({ key: 'app/c' }));
  assert.deepEqual([count('n1'), count('n2')], [2, 1]);
  pods.remove('app/a');
  pods.remove('app/b');
  pods.remove('app/c');
  assert.deepEqual([count('n1'), count('n2')], [0, 0]);
});
