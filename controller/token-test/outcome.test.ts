import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { outcomeOf, silence, statusOutcomeOf } from './outcome.ts';

const server = 'IMDS/aad-pod-identity/0.2.0';
const unbound = { error_description: 'Identity not found: no identity is bound to pod system/test. Bound to it: nothing.' };
const token = { access_token: 'secret', client_id: 'c', expires_on: '1767225600' };

describe('outcomeOf', () => {
  for (const [what, answer, selector, passed, says] of [
    ['a token', { status: 200, server, body: token }, 'mine', true, /token of client_id c until 2026-01-01T00:00:00/],
    [
      'no binding, where one is meant',
      { status: 400, server, body: unbound },
      'mine',
      false,
      /has the selector mine.*Bound to it: nothing/,
    ],
    ['no broker', { status: 503, server, body: { error_description: 'no broker' } }, 'mine', false, /answered 503: no broker$/],
    ['a text', { status: 502, server, body: 'bad gateway' }, 'mine', false, /answered 502: "bad gateway"$/],
    ['IMDS of the node', { status: 200, server: 'IMDS/150', body: token }, 'mine', false, /^failed: IMDS\/150 answered.*not injected/],
    ['a server without a name', { status: 200, server: '', body: token }, 'mine', false, /^failed: something without a name/],
  ] as const)
    it(`${passed ? 'passes' : 'fails'} with ${what}`, () => {
      const outcome = outcomeOf(answer, selector);
      assert.equal(outcome.passed, passed);
      assert.match(outcome.text, says);
      assert.doesNotMatch(outcome.text, /secret/);
    });

  it('fails where nothing answers', () => {
    assert.deepEqual(silence('refused'), {
      passed: false,
      text: 'failed: nothing answers at the address of IMDS (refused): this pod was not injected, or a network policy denies it',
    });
  });
});

describe('statusOutcomeOf', () => {
  const broker = { address: '10.0.0.1:9443' };
  for (const [what, answer, isLast, expected] of [
    [
      'a broker that answered',
      { status: 200, server, body: { broker: { ...broker, answeredSecondsAgo: 0 } } },
      false,
      /^passed: webhook.* test\.selector/,
    ],
    ['a broker that has not answered yet', { status: 200, server, body: { broker } }, false, undefined],
    [
      'a broker that never answered',
      { status: 200, server, body: { broker: { ...broker, error: 'refused' } } },
      true,
      /^failed: .*10\.0\.0\.1:9443.*: refused$/,
    ],
    ['IMDS of the node', { status: 404, server: 'IMDS/150', body: '' }, false, /^failed: IMDS\/150 answered.*not injected/],
    ['an error of the proxy', { status: 500, server, body: 'x' }, false, /^failed: the token proxy answered 500: "x"$/],
  ] as const)
    it(`says ${expected?.source.split(':')[0]?.replace('^', '') ?? 'nothing yet'} for ${what}`, () => {
      const outcome = statusOutcomeOf(answer, isLast);
      if (expected === undefined) assert.equal(outcome, undefined);
      else assert.match(outcome?.text ?? '', expected);
    });
});
