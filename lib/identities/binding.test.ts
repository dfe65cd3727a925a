import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchPod } from './match.ts';
import { binding, identity, pod } from './testing/fixtures.ts';

const rules = { forceNamespaced: false, bindingNamespaces: [] };
const blanks = fc.stringMatching(/^[ \t\r\n\v\f\u00a0\u2003\ufeff]{0,4}$/);
const name = fc.stringMatching(/^[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?$/);

describe('names of a binding', () => {
  it('are the same with and without blanks around them', () => {
    fc.assert(
      fc.property(name, name, fc.tuple(blanks, blanks, blanks, blanks), (of, selector, [a, b, c, d]) => {
        const padded = binding('app/b', `${a}${of}${b}`, `${c}${selector}${d}`);
        assert.deepEqual([padded.identityKey, padded.selector], [`app/${of}`, selector]);
        const { matches } = matchPod(pod({ selector }), [padded], (key) => (key === `app/${of}` ? identity(key) : undefined), rules);
        assert.equal(matches.length, 1);
      }),
    );
  });

  it('select no pod where they are nothing but blanks', () => {
    fc.assert(
      fc.property(blanks, fc.constantFrom('', 'sel'), (selector, label) => {
        assert.deepEqual(matchPod(pod({ selector: label }), [binding('app/b', 'i', selector)], identity, rules).matches, []);
      }),
    );
  });

  it('keep blanks inside, which no name has', () => {
    assert.equal(binding('app/b', 'x y', 'a b').identityKey, 'app/x y');
    assert.equal(binding('app/b', 'x y', 'a b').selector, 'a b');
  });
});
