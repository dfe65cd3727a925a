import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { blockWrites } from './backoff.ts';
import { quarantineOf } from './quarantine.ts';
import type { ScopeState } from './state.ts';
import { failed, identitiesBlamed, initialState, liftChanged, nextTryMs, select, settled, writeSucceeded } from './state.ts';
import { idOf, need } from './testing/scope.ts';

const attach = (...names: string[]) => ({ attach: names.map(idOf), detach: [] });
const version = (name: string, resourceVersion: string) => {
  const each = need('web', name);
  const { object } = each.match.identity;
  each.match.identity.object = { ...object, metadata: { ...object.metadata, resourceVersion } };
  return each;
};
const blamed = (state: ScopeState, name: string, now: number) =>
  identitiesBlamed(state, {
    selected: { write: attach(name), trial: false },
    culprits: new Set([idOf(name)]),
    needs: [version(name, '1')],
    now,
  });

describe('scope state', () => {
  it('selects everything that is wanted while nothing failed', () => {
    assert.deepEqual(select(initialState, attach('a', 'b'), 0).selected, { write: attach('a', 'b'), trial: false });
  });

  it('selects nothing while writes are blocked', () => {
    const blocked = { ...initialState, backoff: blockWrites(initialState.backoff, 1_000) };
    assert.equal(select(blocked, attach('a'), 999).selected, undefined);
    assert.ok(select(blocked, attach('a'), 1_000).selected);
    assert.equal(nextTryMs(blocked, 400), 600);
  });

  it('leaves a blamed identity out and says when it may be tried', () => {
    const { state, selected } = select(blamed(initialState, 'bad', 0), attach('bad', 'good'), 0);
    assert.deepEqual(selected?.write, attach('good'));
    assert.equal(nextTryMs(state, 0), 60_000);
  });

  it('lifts the quarantine of an identity whose AzureIdentity changed', () => {
    const state = select(blamed(initialState, 'bad', 0), attach('bad'), 0).state;
    assert.equal(select(liftChanged(state, [version('bad', '1')], 1_000), attach('bad'), 1_000).selected, undefined);
    const lifted = liftChanged(state, [version('bad', '2')], 1_000);
    assert.equal(nextTryMs(lifted, 1_000), 0);
    assert.deepEqual(select(lifted, attach('bad'), 1_000).selected, { write: attach('bad'), trial: true });
    assert.equal(quarantineOf(lifted.quarantine, idOf('bad'))?.failures, 1, 'the failures still count');
  });

  it('forgets quarantine and failures once a write succeeded', () => {
    const state = writeSucceeded(failed(blamed(initialState, 'a', 0)), { write: attach('a'), trial: true }, 1);
    assert.equal(quarantineOf(state.quarantine, idOf('a')), undefined);
    assert.deepEqual([state.backoff.failures, state.failedVersions.size], [0, 0]);
  });

  it('counts failures in a row until the scope is settled', () => {
    const twice = failed(failed(initialState));
    assert.equal(twice.backoff.failures, 2);
    assert.equal(settled(twice).backoff.failures, 0);
  });
});
