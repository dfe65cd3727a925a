import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IdentityRow } from '../../api/broker.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { row } from '../testing/fixtures.ts';
import type { Lookup, TokenFetch } from './cache.ts';
import { TokenCache } from './cache.ts';
import type { TokenQuery, TokenResult } from './source.ts';
import type { Token } from './token.ts';
import { secondsLeft } from './token.ts';

const hour = 3600;
const reader = row('reader');

function createHarness(options: { random?: number } = {}) {
  const clock = createFakeClock();
  const queries: TokenQuery[] = [];
  const pending: { settle: (result: TokenResult) => void; signal: AbortSignal }[] = [];
  const results: TokenResult[] = [];
  /** Undefined: the test settles each fetch itself. */
  const source: { respond: ((query: TokenQuery) => TokenResult) | undefined } = { respond: undefined };
  let serial = 0;
  const token = (seconds: number, changes: Partial<Token> = {}): { token: Token } => {
    serial += 1;
    const now = Math.floor(clock.wall() / 1000);
    return { token: { accessToken: `token-${serial}`, expiresOn: now + seconds, notBefore: now, tokenType: 'Bearer', ...changes } };
  };
  const cache = new TokenCache({
    sourceOf: () => ({
      fetch(query, signal) {
        queries.push(query);
        if (source.respond !== undefined) return Promise.resolve(source.respond(query));
        return new Promise((settle) => pending.push({ settle, signal }));
      },
    }),
    clock,
    random: () => options.random ?? 0.5,
    onResult: (_query, result) => results.push(result),
  });
  const query = (changes: Partial<TokenQuery> = {}): TokenQuery => ({
    row: reader,
    resource: 'r',
    xmsCc: undefined,
    bypass: false,
    ...changes,
  });
  const lookup = (changes: Partial<TokenQuery> = {}, mayFetch = true) =>
    cache.lookup(query(changes), { deadline: clock.now() + 45_000, mayFetch });
  return { clock, cache, queries, pending, results, source, token, query, lookup };
}

function fetchOf(lookup: Lookup): TokenFetch {
  assert.ok(typeof lookup === 'object' && 'fetch' in lookup, 'expected a fetch');
  return lookup.fetch;
}
function tokenOf(lookup: Lookup): Token {
  assert.ok(typeof lookup === 'object' && 'token' in lookup, 'expected a token');
  return lookup.token;
}
const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

test('keeps the fetches of two objects that name one Azure identity apart', async () => {
  const { queries, pending, token, lookup } = createHarness();
  const renamed = row('renamed', { resourceID: reader.resourceID, clientID: reader.clientID });
  const first = fetchOf(lookup());
  const second = fetchOf(lookup({ row: renamed }));
  assert.equal(fetchOf(lookup()), first);
  assert.equal(fetchOf(lookup({ row: renamed })), second);
  assert.equal(queries.length, 2);
  for (const each of pending) each.settle(token(hour));
  await tick();
  tokenOf(lookup());
  tokenOf(lookup({ row: renamed }));
});

test('fetches a token once for all callers and caches it for half of its life', async () => {
  const { clock, queries, pending, token, lookup } = createHarness();
  const fetches = Array.from({ length: 100 }, () => fetchOf(lookup()));
  assert.equal(new Set(fetches).size, 1);
  assert.equal(queries.length, 1);
  pending[0]?.settle(token(24 * hour));
  await tick();
  assert.ok(typeof fetches[0]?.result === 'object' && 'token' in fetches[0].result);
  await clock.advance(11.9 * hour * 1000);
  assert.equal(tokenOf(lookup()).accessToken, 'token-1');
  assert.equal(queries.length, 1);
});

test('serves a stale token at once and refreshes it in the background', async () => {
  const { clock, queries, source, token, lookup } = createHarness();
  source.respond = () => token(24 * hour);
  lookup();
  await clock.advance(12.1 * hour * 1000);
  assert.equal(tokenOf(lookup()).accessToken, 'token-1', 'the caller does not wait');
  await tick();
  assert.equal(tokenOf(lookup()).accessToken, 'token-2');
  assert.equal(queries.length, 2);
});

test('spreads refreshes by 10 %', async () => {
  for (const [random, staleAt] of [
    [0, 0.45],
    [1, 0.55],
  ] as const) {
    const { clock, queries, source, token, lookup } = createHarness({ random });
    source.respond = () => token(10 * hour);
    lookup();
    await clock.advance((staleAt * 10 * hour - 60) * 1000);
    lookup();
    assert.equal(queries.length, 1);
    await clock.advance(120_000);
    lookup();
    assert.equal(queries.length, 2);
  }
});

test('refreshes later when the source has no newer token', async () => {
  const { clock, queries, source, token, lookup } = createHarness();
  const same = token(24 * hour);
  source.respond = () => same;
  lookup();
  await clock.advance(13 * hour * 1000);
  lookup();
  await tick();
  assert.equal(queries.length, 2);
  await clock.advance(1 * hour * 1000);
  lookup();
  assert.equal(queries.length, 2, 'not before 10 % of the remaining 11 h');
  await clock.advance(0.2 * hour * 1000);
  lookup();
  assert.equal(queries.length, 3);
});

test('counts the seconds left of a token that was cached for 20 h', async () => {
  const { clock, source, token, lookup, results } = createHarness();
  const same = token(24 * hour);
  source.respond = () => same;
  lookup();
  await clock.advance(20 * hour * 1000);
  const cached = tokenOf(lookup());
  assert.equal(secondsLeft(cached, clock.wall()), 4 * hour);
  assert.ok(results.length >= 1);
});

test('serves a token with less than 5 min left only if the source gave it so', async () => {
  const { clock, queries, source, token, lookup } = createHarness();
  source.respond = () => token(2 * hour);
  lookup();
  await clock.advance((2 * hour - 299) * 1000);
  source.respond = () => token(200);
  fetchOf(lookup());
  await tick();
  assert.equal(tokenOf(lookup()).accessToken, 'token-2');
  assert.equal(queries.length, 2);
  await clock.advance(201_000);
  fetchOf(lookup());
});

test('serves a valid token while refreshes fail, and postpones the next refresh', async () => {
  const { clock, queries, source, token, lookup, query, cache } = createHarness();
  source.respond = () => token(24 * hour);
  lookup();
  await clock.advance(13 * hour * 1000);
  source.respond = () => ({ error: { code: 'throttled', message: 'too many' } });
  tokenOf(lookup());
  await clock.advance(46_000);
  const attempts = queries.length;
  assert.ok(attempts > 2, 'the refresh itself retries');
  tokenOf(lookup());
  assert.equal(queries.length, attempts, 'the next refresh is not due yet');
  await clock.advance(60_000);
  tokenOf(lookup());
  assert.equal(queries.length, attempts + 1);
  assert.equal(cache.fallback(query())?.accessToken, 'token-1');
});

test('bypasses the cache once in 30 s and falls back to the valid token on failure', async () => {
  const { clock, queries, source, token, lookup, query, cache } = createHarness();
  source.respond = () => token(24 * hour);
  lookup();
  await tick();
  fetchOf(lookup({ bypass: true }));
  await tick();
  assert.equal(queries[1]?.bypass, true);
  assert.equal(tokenOf(lookup({ bypass: true })).accessToken, 'token-2');
  await clock.advance(29_000);
  assert.equal(tokenOf(lookup({ bypass: true })).accessToken, 'token-2');
  assert.equal(queries.length, 2);
  await clock.advance(2_000);
  source.respond = () => ({ error: { code: 'final', status: 403, error: 'x', message: 'no' } });
  const failed = fetchOf(lookup({ bypass: true }));
  await tick();
  assert.ok(typeof failed.result === 'object' && 'error' in failed.result);
  assert.equal(cache.fallback(query({ bypass: true }))?.accessToken, 'token-2');
});

test('bypasses the cache after a fetch without bypass that was in flight', async () => {
  const { queries, pending, token, lookup } = createHarness();
  lookup();
  fetchOf(lookup({ bypass: true }));
  assert.equal(queries.length, 1);
  pending[0]?.settle(token(hour));
  await tick();
  fetchOf(lookup({ bypass: true }));
  assert.equal(queries[1]?.bypass, true);
});

test('completes a fetch after its callers have left', async () => {
  const { clock, pending, token, lookup } = createHarness();
  lookup();
  await clock.advance(60_000);
  assert.equal(pending[0]?.signal.aborted, false);
  pending[0]?.settle(token(hour));
  await tick();
  tokenOf(lookup());
});

test('discards the token of an identity that went while its token was fetched', async () => {
  const { pending, token, lookup, cache, results } = createHarness();
  const tokenFetch = fetchOf(lookup());
  cache.retain([]);
  assert.equal(tokenFetch.result, 'dropped');
  assert.equal(pending[0]?.signal.aborted, true);
  pending[0]?.settle(token(hour));
  await tick();
  assert.equal(cache.size, 0);
  assert.equal(results.length, 0);
  assert.equal(lookup({}, false), 'not cached');
});

test('discards a token that arrives at the moment its identity goes', async () => {
  for (let microtasks = 0; microtasks < 8; microtasks += 1) {
    const { pending, token, lookup, cache } = createHarness();
    lookup();
    pending[0]?.settle(token(hour));
    for (let i = 0; i < microtasks; i += 1) await Promise.resolve();
    cache.retain([]);
    await tick();
    assert.equal(cache.size, 0);
    assert.equal(lookup({}, false), 'not cached', `after ${microtasks} microtasks`);
  }
});

test('drops the token of an identity that changed in other than state or reason', async () => {
  const { source, token, lookup, cache } = createHarness();
  source.respond = () => token(hour);
  lookup();
  await tick();
  const changed = (changes: Partial<IdentityRow>) => ({ row: { ...reader, ...changes } });
  cache.retain([changed({ state: 'Created', reason: 'r', resourceID: reader.resourceID.toUpperCase() }).row]);
  tokenOf(lookup(changed({ state: 'Created' }), false));
  assert.equal(lookup(changed({ clientID: 'recreated' }), false), 'not cached');
  assert.equal(cache.size, 0);
  lookup();
  await tick();
  cache.retain([changed({ objectID: 'other' }).row]);
  assert.equal(cache.size, 0);
});

test('serves and refreshes tokens of auxiliary tenants by the first expiry', async () => {
  const { clock, source, token, lookup, queries } = createHarness();
  const app = row('app', { type: 1, resourceID: '', tenantID: 't1', auxiliaryTenantIDs: ['t2'] });
  source.respond = () => token(hour, { auxiliary: [token(hour / 2).token] });
  lookup({ row: app });
  await tick();
  await clock.advance(16 * 60_000);
  tokenOf(lookup({ row: app }));
  await tick();
  assert.equal(queries.length, 2, 'half of the shorter life has passed');
  source.respond = () => ({ error: { code: 'server', message: 'boom' } });
  await clock.advance(26 * 60_000);
  assert.equal(lookup({ row: app }, false), 'not cached', 'less than 5 min of the shorter life are left');
});

test('drops a token when the auxiliary tenants of its identity change', async () => {
  const { source, token, lookup, cache } = createHarness();
  const app = row('app', { type: 1, resourceID: '', tenantID: 't1', auxiliaryTenantIDs: ['t2'] });
  source.respond = () => token(hour, { auxiliary: [token(hour).token] });
  lookup({ row: app });
  await tick();
  tokenOf(lookup({ row: app }, false));
  cache.retain([{ ...app, auxiliaryTenantIDs: ['t2', 't3'] }]);
  assert.equal(cache.size, 0);
});

test('caches a token for each identity, resource, capability and tenant', async () => {
  const { source, token, lookup, queries } = createHarness();
  source.respond = () => token(hour);
  const variants: Partial<TokenQuery>[] = [
    {},
    { resource: 'r/' },
    { resource: 'R' },
    { xmsCc: 'cp1' },
    { row: row('writer') },
    { row: row('app', { type: 1, clientID: 'c', resourceID: '', tenantID: 't1' }) },
    { row: row('app2', { type: 1, clientID: 'c', resourceID: '', tenantID: 't2' }) },
  ];
  for (const variant of variants) lookup(variant);
  await tick();
  assert.equal(queries.length, variants.length);
  assert.equal(new Set(variants.map((variant) => tokenOf(lookup(variant)).accessToken)).size, variants.length);
});

test('holds 256 tokens and evicts the least recently used that is not in flight', async () => {
  const { source, token, lookup, cache, queries } = createHarness();
  source.respond = () => token(hour);
  for (let i = 0; i < 256; i += 1) lookup({ resource: `r${i}` });
  await tick();
  lookup({ resource: 'r0' });
  lookup({ resource: 'one-more' });
  await tick();
  assert.equal(cache.size, 256);
  const count = queries.length;
  tokenOf(lookup({ resource: 'r0' }));
  assert.equal(lookup({ resource: 'r1' }, false), 'not cached');
  assert.equal(queries.length, count);

  const busy = createHarness();
  for (let i = 0; i < 256; i += 1) busy.lookup({ resource: `r${i}` });
  assert.equal(busy.lookup({ resource: 'one-more' }), 'full');
});

test('retries with back-off while a caller waits, then returns the error', async () => {
  const { clock, queries, source, lookup, results, cache } = createHarness();
  source.respond = () => ({ error: { code: 'server', message: 'boom' } });
  const tokenFetch = fetchOf(lookup());
  await clock.advance(46_000);
  assert.ok(queries.length >= 5 && queries.length <= 12, `${queries.length} attempts`);
  assert.ok(typeof tokenFetch.result === 'object' && 'error' in tokenFetch.result && tokenFetch.result.error.message === 'boom');
  assert.equal(results.length, 1);
  assert.equal(cache.size, 0);
  assert.equal(clock.timers, 0);
});

test('retries "Identity not found" after 1, 2, 4 and 8 s, and a final error never', async () => {
  const { clock, queries, source, lookup } = createHarness();
  source.respond = () => ({ error: { code: 'identity_not_found', message: 'Identity not found', requestId: 'x' } });
  lookup();
  const times: number[] = [];
  for (let second = 0; second <= 20; second += 1) {
    await clock.advance(1000);
    times.push(queries.length);
  }
  assert.deepEqual([times[0], times[2], times[6], times[14], times[20]], [2, 3, 4, 5, 5]);
  source.respond = () => ({ error: { code: 'final', status: 400, error: 'e', message: 't' } });
  lookup({ resource: 'other' });
  await clock.advance(45_000);
  assert.equal(queries.length, 6);
});

test('serves no expired token and fetches once when the wall clock jumps', async () => {
  const { clock, queries, source, token, lookup } = createHarness();
  source.respond = () => token(24 * hour);
  lookup();
  await tick();
  clock.jump(-300_000);
  for (let i = 0; i < 100; i += 1) tokenOf(lookup());
  assert.equal(queries.length, 1);
  clock.jump(30 * hour * 1000);
  fetchOf(lookup());
  await tick();
  for (let i = 0; i < 100; i += 1) tokenOf(lookup());
  assert.equal(queries.length, 2);
});

test('keeps the tokens of an identity whose ids are not known for a while', async () => {
  const { cache, lookup, source, token } = createHarness();
  source.respond = () => token(hour);
  const assigned = { row: row('a') };
  lookup(assigned);
  await tick();
  const { objectID: _, ...withoutIds } = row('a', { clientID: '', state: 'Created' });
  cache.retain([withoutIds]);
  assert.equal(tokenOf(lookup({ row: withoutIds }, false)).accessToken, 'token-1');
  assert.equal(tokenOf(lookup(assigned)).accessToken, 'token-1');
  // Deleted in Azure and made anew meanwhile.
  cache.retain([withoutIds]);
  lookup({ row: withoutIds }, false);
  assert.equal(lookup({ row: row('a', { clientID: 'new' }) }, false), 'not cached');
});
