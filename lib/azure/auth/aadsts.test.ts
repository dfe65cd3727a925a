import assert from 'node:assert/strict';
import { test } from 'node:test';
import { aadstsMeanings, failureOf, isRetryable } from './aadsts.ts';

const table = {
  untrusted: [70021, 700211, 700212, 700213],
  refused: [7002138, 700016, 90002, 500011, 7000112, 53003, 1002012, 70011],
  assertion: [700024],
  issuer: [90061],
  loop: [50196],
  passing: [90033, 90055],
};

for (const [kind, codes] of Object.entries(table)) {
  test(`takes ${codes.join(', ')} for ${kind}`, () => {
    for (const aadsts of codes) assert.equal(failureOf({ aadsts, status: 400 }).kind, kind);
  });
}

test('has no code besides those of the table', () => {
  assert.deepEqual([...aadstsMeanings.keys()].sort(), Object.values(table).flat().sort());
});

test('takes 53003 and 500011 alone for a proof', () => {
  const proving = [...aadstsMeanings.keys()].filter((aadsts) => failureOf({ aadsts, status: 400 }).proves);
  assert.deepEqual(proving.sort(), [500011, 53003]);
});

test('judges an unknown error by its status', () => {
  for (const [status, kind] of [
    [undefined, 'passing'],
    [500, 'passing'],
    [503, 'passing'],
    [429, 'throttled'],
    [400, 'refused'],
    [401, 'refused'],
    [403, 'refused'],
  ] as const)
    assert.equal(failureOf({ status, aadsts: 12345 }).kind, kind, String(status));
  assert.equal(failureOf({ status: 429, aadsts: 700213 }).kind, 'throttled', 'a status that says more than the code');
});

test('retries neither what is refused nor what is untrusted', () => {
  const kinds = ['untrusted', 'refused', 'assertion', 'issuer', 'loop', 'throttled', 'passing'] as const;
  assert.deepEqual(
    kinds.filter((kind) => !isRetryable(kind)),
    ['untrusted', 'refused'],
  );
});
