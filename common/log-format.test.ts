import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { textLine } from './log-format.ts';

const time = '2026-11-30T21:00:00.000Z';
const line = (fields: Record<string, unknown>, message = 'scope not written') => textLine({ time, level: 'warn', message, fields });

describe('textLine', () => {
  it('writes time, level, message and fields, and quotes what is not one word', () => {
    const fields = {
      pod: 'team/app',
      ms: 12,
      retry: true,
      absent: undefined,
      ids: ['a', 'b'],
      error: 'no "right"\nhere',
      empty: '',
      pair: 'a=b',
    };
    assert.equal(
      line(fields),
      `${time} WARN scope not written pod=team/app ms=12 retry=true ids="[\\"a\\",\\"b\\"]" error="no \\"right\\"\\nhere" empty="" pair="a=b"`,
    );
  });

  it('writes one line of printable characters, whatever message and values hold', () => {
    const anything = fc.string({ unit: 'binary' });
    fc.assert(
      fc.property(anything, fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.oneof(anything, fc.jsonValue())), (message, fields) => {
        assert.doesNotMatch(line(fields, message), /[\p{Cc}\u2028\u2029]/u);
      }),
    );
  });
});
