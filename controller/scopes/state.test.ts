import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { blockWrites } from './backoff.ts';
import type { Entry } from './quarantine.ts';
import { heldEntryOf } from './quarantine.ts';
import type { ScopeState } from './state.ts';
import { failed, identitiesBlamed, initialState, liftChanged, select, settled, writeSucceeded, writesSent } from './state.ts';
import { idOf, need } from './testing/scope.ts';

const attach = (...names: string[]): Entry[] => names.map((name) => ({ direction: 'attach', id: idOf(name), namespace: 'app' }));
const version = (name: string, resourceVersion: string) => {
  const each = need('web', name);
  const { object } = each.match.identity;
  each.match.identity.object = { ...object, metadata: { ...object.metadata, resourceVersion } };
  return each;
};
const blamed = (state: ScopeState, name: string, now: number) =>
  identitiesBlamed(state, {
    selected: { entries: attach(name), trial: false },
    culprits: new Set([idOf(name)]),
    needs: [version(name, '1')],
    now,
  });

describe('scope state', () => {
  it('selects everything that is wanted while nothing failed', () => {
    const wanted = attach('a', 'b');
    assert.deepEqual(select(initialState, wanted, 0), { selected: { entries: wanted, trial: false }, nextAt: Number.POSITIVE_INFINITY });
  });

  it('selects nothing while writes are blocked and says until when', () => {
    const blocked = { ...initialState, backoff: blockWrites(initialState.backoff, 1_000) };
    assert.deepEqual(select(blocked, attach('a'), 999), { selected: undefined, nextAt: 1_000 });
    assert.ok(select(blocked, attach('a'), 1_000).selected);
  });

  it('selects nothing once the pace is used up and says until when', () => {
    assert.deepEqual(select(writesSent(initialState, 12, 0), attach('a'), 0), { selected: undefined, nextAt: 15_000 });
  });

  it('says when a blamed identity may be tried again', () => {
    const state = blamed(initialState, 'bad', 0);
    assert.deepEqual(select(state, attach('bad'), 0), { selected: undefined, nextAt: 60_000 });
  });

  it('lifts the quarantine of an identity whose AzureIdentity changed', () => {
    const state = blamed(initialState, 'bad', 0);
    assert.equal(select(liftChanged(state, [version('bad', '1')], 1_000), attach('bad'), 1_000).selected, undefined);
    const lifted = liftChanged(state, [version('bad', '2')], 1_000);
    assert.deepEqual(select(lifted, attach('bad'), 1_000).selected, { entries: attach('bad'), trial: true });
    assert.equal(heldEntryOf(lifted.quarantine, idOf('bad'))?.failures, 1, 'the failures still count');
  });

  it('forgets quarantine and failures once a write succeeded', () => {
    const state = writeSucceeded(failed(blamed(initialState, 'a', 0)), { entries: attach('a'), trial: true }, 1);
    assert.equal(heldEntryOf(state.quarantine, idOf('a')), undefined);
    assert.deepEqual([state.backoff.failures, state.failedVersions.size], [0, 0]);
  });

  it('counts failures in a row until the scope is settled', () => {
    const twice = failed(failed(initialState));
    assert.equal(twice.backoff.failures, 2);
    assert.equal(settled(twice).backoff.failures, 0);
  });
});
