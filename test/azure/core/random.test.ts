import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createRandom, drawFrom, drawLogNormal, guidOf } from './random.ts';

test('repeats its numbers for a seed and differs for another', () => {
  const draw = (seed: number) => Array.from({ length: 5 }, createRandom(seed));
  assert.deepEqual(draw(1), draw(1));
  assert.notDeepEqual(draw(1), draw(2));
  assert.ok(draw(3).every((value) => value >= 0 && value < 1));
});

test('draws log-normal delays with the given median and 99th percentile', () => {
  const random = createRandom(1);
  const drawn = Array.from({ length: 20_000 }, () => drawLogNormal(30, 800, random)).sort((left, right) => left - right);
  const at = (part: number) => drawn[Math.floor(drawn.length * part)] ?? 0;
  assert.ok(Math.abs(at(0.5) - 30) < 3, `median ${at(0.5)}`);
  assert.ok(Math.abs(at(0.99) - 800) < 120, `99th percentile ${at(0.99)}`);
});

test('draws from a range evenly and within its ends', () => {
  const random = createRandom(1);
  const drawn = Array.from({ length: 1000 }, () => drawFrom({ min: 10, max: 20 }, random));
  assert.deepEqual([Math.min(...drawn), Math.max(...drawn)], [10, 20]);
  assert.equal(drawFrom({ min: 7, max: 7 }, random), 7);
});

test('derives the same GUID from the same text', () => {
  assert.equal(guidOf('a'), guidOf('a'));
  assert.notEqual(guidOf('a'), guidOf('b'));
  assert.match(guidOf('a'), /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}$/);
});
