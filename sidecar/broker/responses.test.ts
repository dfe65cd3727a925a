// What a sidecar makes of the answers of brokers that are older or newer than itself.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identities, row } from '../testing/fixtures.ts';
import { parseHostToken, parseIdentities } from './responses.ts';

const answer = (...rows: object[]) => ({ ...identities([]), identities: rows });

describe('parseIdentities', () => {
  it('takes a row whose type it does not know, by its source', () => {
    const { identities: rows } = parseIdentities(answer(row('a'), { ...row('b'), type: 7, source: 'broker' }));
    assert.deepEqual(
      rows.map(({ name, type, source, state }) => ({ name, type, source, state })),
      [
        { name: 'a', type: 0, source: 'imds', state: 'Assigned' },
        { name: 'b', type: 7, source: 'broker', state: 'Assigned' },
      ],
    );
  });

  for (const [what, newer] of [
    ['source', { source: 'sun' }],
    ['state', { state: 'Sleeping' }],
  ] as const)
    it(`fails the row alone whose ${what} it does not know, and says to restart the pod`, () => {
      const { identities: rows } = parseIdentities(answer({ ...row('a'), ...newer }, row('b')));
      assert.deepEqual(
        rows.map(({ state }) => state),
        ['Failed', 'Assigned'],
      );
      const pattern = new RegExp(`does not know its ${what} ${Object.values(newer)[0]}: restart the pod$`);
      assert.match(rows[0]?.reason ?? '', pattern);
    });

  it('ignores fields that it does not know', () => {
    const known = identities([row('a')]);
    const newer = { ...known, budget: { left: 3 }, pod: { ...known.pod, node: 'n' }, identities: [{ ...row('a'), weight: [1] }] };
    assert.deepEqual(parseIdentities(newer), known);
  });

  it('reads the rows of a broker that sends no source', () => {
    const older = [row('a'), row('b', { type: 1 })].map(({ source: _source, ...rest }) => rest);
    assert.deepEqual(
      parseIdentities(answer(...older)).identities.map(({ source }) => source),
      ['imds', 'broker'],
    );
  });

  for (const [what, broken] of [
    ['a row is no object', answer('a' as unknown as object)],
    ['a row has no name', answer({ ...row('a'), name: undefined })],
    ['a type is a text', answer({ ...row('a'), type: '0' })],
  ] as const)
    it(`refuses an answer in which ${what}`, () => assert.throws(() => parseIdentities(broken), { code: 'invalid_response' }));
});

describe('parseHostToken', () => {
  it('takes a type that it does not know', () => {
    assert.equal(parseHostToken({ identity: { ...row('a'), type: 7 }, token: 1 }).identity.type, 7);
  });
});
