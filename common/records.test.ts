import assert from 'node:assert/strict';
import { test } from 'node:test';
import { at, isRecord, stringAt, stringMapAt, stringsAt } from './records.ts';

const object = { spec: { name: 'app', replicas: 2, labels: { a: '1', b: 2 }, args: ['x', 3, 'y'] }, list: [{ name: 'first' }] };

test('takes only plain objects for records', () => {
  for (const value of [{}, object]) assert.equal(isRecord(value), true);
  for (const value of [null, undefined, [], 'text', 1]) assert.equal(isRecord(value), false);
});

test('finds the value at a path, and undefined where the path ends early', () => {
  assert.equal(at(object, 'spec', 'replicas'), 2);
  assert.equal(at(object), object);
  for (const path of [
    ['spec', 'name', 'length'],
    ['list', '0', 'name'],
    ['none', 'of', 'it'],
  ])
    assert.equal(at(object, ...path), undefined);
});

test('drops values of another type from strings, maps and lists', () => {
  assert.equal(stringAt(object, 'spec', 'name'), 'app');
  assert.equal(stringAt(object, 'spec', 'replicas'), undefined);
  assert.deepEqual(stringMapAt(object, 'spec', 'labels'), { a: '1' });
  assert.deepEqual(stringMapAt(object, 'spec', 'args'), {});
  assert.deepEqual(stringsAt(object, 'spec', 'args'), ['x', 'y']);
  assert.deepEqual(stringsAt(object, 'spec', 'labels'), []);
});
