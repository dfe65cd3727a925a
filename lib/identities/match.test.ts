import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Binding } from './binding.ts';
import type { Identity } from './identity.ts';
import type { MatchRules } from './match.ts';
import { bindingsOfPod, isNearMiss, matchPod, maxForeignMatches } from './match.ts';
import { binding, identity, pod } from './testing/fixtures.ts';

const anywhere: MatchRules = { forceNamespaced: false, bindingNamespaces: [] };

const matchesOf = (bindings: Binding[], identities: Identity[], rules = anywhere, of = pod()) => {
  const byKey = new Map(identities.map((each) => [each.key, each]));
  return matchPod(of, bindings, (key) => byKey.get(key), rules);
};
const match = (...args: Parameters<typeof matchesOf>) =>
  matchesOf(...args).matches.map((found) => `${found.binding.key}>${found.identity.key}`);

/** A binding made in this second of a day, of an identity with the binding's own name. */
const made = (key: string, second: number, uid = key, selector = 'sel') => {
  const creationTimestamp = new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  return binding(key, key.split('/')[1] ?? '', selector, { creationTimestamp, uid });
};
const identitiesOf = (bindings: Binding[]) => bindings.map(({ identityKey }) => identity(identityKey));

describe('matchPod', () => {
  it('takes bindings of all namespaces, each with an identity of its namespace', () => {
    assert.deepEqual(
      match(
        [binding('app/b', 'i'), binding('other/b', 'j'), binding('app/c', 'i', 'another')],
        [identity('app/i'), identity('other/j'), identity('app/j')],
      ),
      ['app/b>app/i', 'other/b>other/j'],
    );
  });

  it('orders by own namespace, age and uid of the binding', () => {
    const bindings = [made('zzz/a', 1), made('aaa/b', 2, 'u2'), made('aaa/c', 2, 'u1'), made('app/y', 4), made('app/z', 3)];
    assert.deepEqual(match(bindings, identitiesOf(bindings)), ['app/z>app/z', 'app/y>app/y', 'zzz/a>zzz/a', 'aaa/c>aaa/c', 'aaa/b>aaa/b']);
  });

  it('takes bindings of the own and of the listed namespaces, in the listed order', () => {
    const bindings = [made('third/a', 1), made('second/b', 2), made('first/c', 3), made('app/d', 4)];
    const rules = { ...anywhere, bindingNamespaces: ['first', 'second'] };
    assert.deepEqual(match(bindings, identitiesOf(bindings), rules), ['app/d>app/d', 'first/c>first/c', 'second/b>second/b']);
  });

  it('keeps two identities of one name in two namespaces', () => {
    const identities = [identity('app/same'), identity('b/same')];
    assert.deepEqual(match([binding('b/x', 'same'), binding('app/x', 'same')], identities), ['app/x>app/same', 'b/x>b/same']);
  });

  it('takes an identity once, for the oldest of its bindings', () => {
    const bindings = [made('app/i', 2), binding('app/older', 'i', 'sel', { creationTimestamp: '2025-01-01T00:00:00Z' })];
    assert.deepEqual(match(bindings, [identity('app/i')]), ['app/older>app/i']);
  });

  it('skips a binding whose identity does not exist', () => {
    assert.deepEqual(match([binding('app/b', 'gone')], []), []);
  });

  it('keeps namespaced identities, or with forceNamespaced all, to their namespace', () => {
    const bindings = [binding('app/b', 'i'), binding('other/b', 'j')];
    assert.deepEqual(match(bindings, [identity('app/i'), identity('other/j', { namespaced: true })]), ['app/b>app/i']);
    assert.deepEqual(match(bindings, [identity('app/i'), identity('other/j')], { ...anywhere, forceNamespaced: true }), ['app/b>app/i']);
  });

  it('gives an empty selector nothing, also where a binding has an empty one', () => {
    assert.deepEqual(match([binding('app/b', 'i', '')], [identity('app/i')], undefined, pod({ selector: '' })), []);
  });

  it('limits identities of other namespaces, not those of the own one', () => {
    const foreign = Array.from({ length: maxForeignMatches + 2 }, (_, second) => made(`other/f${second}`, second));
    const own = Array.from({ length: maxForeignMatches + 2 }, (_, second) => made(`app/o${second}`, second));
    const { matches, overLimit } = matchesOf([...foreign, ...own], identitiesOf([...foreign, ...own]));
    assert.deepEqual(
      matches.map(({ binding: { key } }) => key),
      [...own, ...foreign.slice(0, maxForeignMatches)].map(({ key }) => key),
    );
    assert.deepEqual(
      overLimit.map(({ binding: { key } }) => key),
      [`other/f${maxForeignMatches}`, `other/f${maxForeignMatches + 1}`],
    );
  });

  it('keeps the first matches of each namespace beside many older ones', () => {
    const many = Array.from({ length: maxForeignMatches + 2 }, (_, second) => made(`many/m${second}`, second));
    const few = [made('few/f0', 50), made('few/f1', 51)];
    const { matches, overLimit } = matchesOf([...many, ...few], identitiesOf([...many, ...few]));
    assert.deepEqual(
      matches.map(({ binding: { key } }) => key),
      [...many.slice(0, maxForeignMatches - 2), ...few].map(({ key }) => key),
    );
    assert.equal(overLimit.length, 4);
  });

  const namespaces = ['app', 'a', 'b'];
  const bindingOf = (in_: string[]) =>
    fc
      .record({
        namespace: fc.constantFrom(...in_),
        name: fc.constantFrom('x', 'y', 'z'),
        identity: fc.constantFrom('i', 'j'),
        second: fc.nat(2),
      })
      .map(({ namespace, name, identity: to, second }) =>
        binding(`${namespace}/${name}`, to, 'sel', { creationTimestamp: `2026-01-01T00:00:0${second}Z`, uid: `${namespace}${name}` }),
      );
  const bindingsOf = (in_: string[]) => fc.uniqueArray(bindingOf(in_), { selector: ({ key }) => key });
  const rulesOf = fc.record({ forceNamespaced: fc.boolean(), bindingNamespaces: fc.subarray(namespaces) });
  const identities = namespaces.flatMap((namespace) => ['i', 'j'].map((name) => identity(`${namespace}/${name}`)));

  it('does not depend on the order of the bindings and takes each identity once', () => {
    fc.assert(
      fc.property(bindingsOf(namespaces), rulesOf, fc.infiniteStream(fc.nat()), (bindings, rules, shuffle) => {
        const shuffled = bindings.map((each) => [shuffle.next().value, each] as const).sort((a, b) => a[0] - b[0]);
        const found = match(bindings, identities, rules);
        assert.deepEqual(
          match(
            shuffled.map(([, each]) => each),
            identities,
            rules,
          ),
          found,
        );
        const keys = found.map((each) => each.split('>').at(-1));
        assert.equal(new Set(keys).size, keys.length);
      }),
    );
  });

  it('gives the own namespace the same matches first, whatever others bind', () => {
    fc.assert(
      fc.property(bindingsOf(['app']), bindingsOf(['a', 'b']), rulesOf, (own, foreign, rules) => {
        const alone = match(own, identities, rules);
        assert.deepEqual(match([...own, ...foreign], identities, rules).slice(0, alone.length), alone);
      }),
    );
  });

  it('keeps the order of all matches when a younger foreign binding is added', () => {
    fc.assert(
      fc.property(bindingsOf(namespaces), bindingOf(['a', 'b']), (bindings, added) => {
        const young = binding('b/young', added.object.spec?.azureIdentity ?? '', 'sel', { creationTimestamp: '2026-01-02T00:00:00Z' });
        const before = match(bindings, identities);
        assert.deepEqual(match([...bindings, young], identities).slice(0, before.length), before);
      }),
    );
  });
});

describe('bindingsOfPod', () => {
  it('leaves out bindings that the rules do not let count', () => {
    const bindings = [made('other/a', 1), made('app/b', 2), made('app/c', 3, 'c', 'another')];
    const keys = (rules: MatchRules) => bindingsOfPod(pod(), bindings, rules).map(({ key }) => key);
    assert.deepEqual(keys(anywhere), ['app/b', 'other/a']);
    assert.deepEqual(keys({ ...anywhere, bindingNamespaces: ['shared'] }), ['app/b']);
    assert.deepEqual(keys({ ...anywhere, forceNamespaced: true }), ['app/b']);
  });
});

// https://github.com/Azure/azure-service-operator/issues/1381, https://github.com/Azure/application-gateway-kubernetes-ingress/pull/852
describe('isNearMiss', () => {
  const labelled = (selector: string) => pod({ selector });

  it('finds a label with another case or separator, or the name of the identity', () => {
    for (const label of ['ASO-manager-binding', 'aso_manager_binding', 'aso.managerbinding'])
      assert.ok(isNearMiss(labelled(label), binding('app/b', 'i', 'aso-manager-binding')), label);
    assert.ok(isNearMiss(labelled('ingress-azure'), binding('app/b', 'ingress-azure', 'my-ingress-azure')));
    assert.ok(isNearMiss(labelled('reader-binding'), binding('app/reader-binding', 'i', 'reader')));
  });

  it('does not take the selector itself, another word or an empty label for one', () => {
    for (const label of ['reader', 'writer', '']) assert.ok(!isNearMiss(labelled(label), binding('app/b', 'i', 'reader')), label);
    assert.ok(!isNearMiss(labelled('i'), binding('app/b', 'i', 'i')));
  });
});
