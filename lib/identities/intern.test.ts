import assert from 'node:assert/strict';
import { it } from 'node:test';
import { interner } from './intern.ts';

it('interns equal values as one object, and starts anew beyond its limit', () => {
  const intern = interner<{ name: string }>(2);
  const first = intern({ name: 'a' });
  assert.equal(intern({ name: 'a' }), first);
  assert.notEqual(intern({ name: 'b' }), first);
  assert.deepEqual(intern({ name: 'c' }), { name: 'c' });
  const again = intern({ name: 'a' });
  assert.notEqual(again, first);
  assert.deepEqual(again, first);
});
