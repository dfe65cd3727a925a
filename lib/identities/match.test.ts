import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { matchPod } from './match.ts';
import type { Binding, Identity } from './objects.ts';
import { binding, identity, pod } from './testing/fixtures.ts';

const match = (bindings: Binding[], identities: Identity[], rules = { forceNamespaced: false }, of = pod()) => {
  const byKey = new Map(identities.map((each) => [each.key, each]));
  return matchPod(of, bindings, (key) => byKey.get(key), rules).map((found) => `${found.binding.key}>${found.identity.key}`);
};

describe('matching', () => {
  it('takes bindings of all namespaces, each with an identity of its namespace', () => {
    assert.deepEqual(
      match(
        [binding('app/b', 'i'), binding('other/b', 'j'), binding('app/c', 'i', 'another')],
        [identity('app/i'), identity('other/j'), identity('app/j')],
      ),
      ['app/b>app/i', 'other/b>other/j'],
    );
  });

  it('puts the pod’s own namespace first, then orders by binding namespace and name', () => {
    const bindings = [binding('zzz/a', '3'), binding('aaa/b', '2'), binding('aaa/a', '1'), binding('app/z', '0')];
    assert.deepEqual(match(bindings, [identity('zzz/3'), identity('aaa/2'), identity('aaa/1'), identity('app/0')]), [
      'app/z>app/0',
      'aaa/a>aaa/1',
      'aaa/b>aaa/2',
      'zzz/a>zzz/3',
    ]);
  });

  it('takes the first of two identities of one name', () => {
    assert.deepEqual(match([binding('b/x', 'same'), binding('a/x', 'same')], [identity('a/same'), identity('b/same')]), ['a/x>a/same']);
  });

  it('skips a binding whose identity does not exist', () => {
    assert.deepEqual(match([binding('app/b', 'gone')], []), []);
  });

  it('keeps namespaced identities, or with forceNamespaced all, to their namespace', () => {
    const bindings = [binding('app/b', 'i'), binding('other/b', 'j')];
    assert.deepEqual(match(bindings, [identity('app/i'), identity('other/j', { namespaced: true })]), ['app/b>app/i']);
    assert.deepEqual(match(bindings, [identity('app/i'), identity('other/j')], { forceNamespaced: true }), ['app/b>app/i']);
  });

  it('gives an empty selector nothing, also where a binding has an empty one', () => {
    assert.deepEqual(match([binding('app/b', 'i', '')], [identity('app/i')], undefined, pod({ selector: '' })), []);
  });

  it('does not depend on the order of the bindings and names each identity once', () => {
    const key = fc.tuple(fc.constantFrom('app', 'a', 'b'), fc.constantFrom('x', 'y', 'z'));
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(key, fc.constantFrom('i', 'j')), { selector: ([[namespace, name]]) => `${namespace}/${name}` }),
        fc.infiniteStream(fc.nat()),
        (entries, shuffle) => {
          const bindings = entries.map(([[namespace, name], to]) => binding(`${namespace}/${name}`, to));
          const identities = ['app', 'a', 'b'].flatMap((namespace) => ['i', 'j'].map((name) => identity(`${namespace}/${name}`)));
          const shuffled = bindings.map((each) => [shuffle.next().value, each] as const).sort((a, b) => a[0] - b[0]);
          const found = match(bindings, identities);
          assert.deepEqual(
            match(
              shuffled.map(([, each]) => each),
              identities,
            ),
            found,
          );
          const names = found.map((each) => each.split('/').at(-1));
          assert.equal(new Set(names).size, names.length);
        },
      ),
    );
  });
});
