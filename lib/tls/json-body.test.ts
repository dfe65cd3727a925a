import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsedSize, parseJson } from './json-body.ts';

const sizeOf = (text: string) => parsedSize(Buffer.from(text));

test('counts the values of a JSON text and not the marks in its strings', () => {
  assert.equal(sizeOf('{}'), 2 * 2 + 64);
  assert.equal(sizeOf('{"a":[1,2]}'), 2 * 11 + 64 * 4);
  const text = JSON.stringify({ text: '{"a":[1,2],"b":"\\"{{{{"}' });
  assert.equal(sizeOf(text), 2 * text.length + 64 * 2);
});

test('tells many small values from one long text', () => {
  const values = `[${'{},'.repeat(1_000_000)}0]`;
  const text = JSON.stringify('x'.repeat(3_000_000));
  assert.ok(sizeOf(values) > 100_000_000 && sizeOf(text) < 7_000_000);
});

test('refuses bytes that are not UTF-8 and what the parser refuses', () => {
  const parse = (text: string, done: (error: Error | null, value?: unknown) => void) =>
    text === 'bad' ? done(new Error('no')) : done(null, text);
  assert.equal(parseJson(Buffer.from('good'), parse), 'good');
  assert.throws(() => parseJson(Buffer.from('bad'), parse), { statusCode: 400, message: /not JSON/ });
  assert.throws(() => parseJson(Buffer.from([0xff, 0xfe]), parse), { statusCode: 400, message: /not UTF-8/ });
});
