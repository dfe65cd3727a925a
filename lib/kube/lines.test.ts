import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { splitLines } from './lines.ts';

async function* cut(bytes: Uint8Array, sizes: number[]): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const size of [...sizes, bytes.length]) {
    yield bytes.subarray(start, start + size);
    start += size;
  }
}

describe('splitLines', () => {
  it('gives the same lines however the stream is cut, also inside a character', async () => {
    const line = fc.string({ unit: 'grapheme', minLength: 1 }).filter((text) => !text.includes('\n'));
    await fc.assert(
      fc.asyncProperty(fc.array(line), fc.array(fc.nat(5)), async (lines, sizes) => {
        const found: string[] = [];
        for await (const each of splitLines(cut(new TextEncoder().encode(lines.map((text) => `${text}\n`).join('')), sizes)))
          found.push(each);
        assert.deepEqual(found, lines);
      }),
    );
  });

  it('yields a last line that the stream did not end', async () => {
    const found: string[] = [];
    for await (const each of splitLines(cut(new TextEncoder().encode('a\n\nb'), []))) found.push(each);
    assert.deepEqual(found, ['a', 'b']);
  });
});
