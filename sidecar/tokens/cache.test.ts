// The rules about tokens in memory, on a clock that the test moves (design 5, tokens).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { IdentityRow } from '../../api/broker.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { row } from '../testing.ts';
import type { Flight, Look } from './cache.ts';
import { createTokenCache } from './cache.ts';
import type { Outcome, TokenQuestion } from './source.ts';
import type { Token } from './token.ts';
import { secondsLeft } from './token.ts';

const hour = 3600;

function setup(options: { random?: number } = {}) {
  const clock = createFakeClock();
  const asked: TokenQuestion[] = [];
  const pending: { settle: (outcome: Outcome) => void; signal: AbortSignal }[] = [];
  const results: Outcome[] = [];
  /** Undefined: the test answers by hand. */
  const source: { answer: ((question: TokenQuestion) => Outcome) | undefined } = { answer: undefined };
  let serial = 0;
  const token = (seconds: number, changes: Partial<Token> = {}): { token: Token } => {
    serial += 1;
    const now = Math.floor(clock.wall() / 1000);
    return { token: { accessToken: `token-${serial}`, expiresOn: now + seconds, notBefore: now, tokenType: 'Bearer', ...changes } };
  };
  const cache = createTokenCache({
    sourceOf: () => ({
      fetch(question, signal) {
        asked.push(question);
        if (source.answer !== undefined) return Promise.resolve(source.answer(question));
        return new Promise((settle) => pending.push({ settle, signal }));
      },
    }),
    clock,
    random: () => options.random ?? 0.5,
    onResult: (_question, outcome) => results.push(outcome),
  });
  const question = (changes: Partial<TokenQuestion> = {}): TokenQuestion => ({
    row: reader,
    resource: 'r',
    xmsCc: undefined,
    bypass: false,
    ...changes,
  });
  const look = (changes: Partial<TokenQuestion> = {}, mayFetch = true) =>
    cache.look(question(changes), { deadline: clock.now() + 45_000, mayFetch });
  return { clock, cache, asked, pending, results, source, token, question, look };
}
const reader = row('reader');

function flightOf(look: Look): Flight {
  assert.ok(typeof look === 'object' && 'flight' in look, 'a fetch was expected');
  return look.flight;
}
function tokenOf(look: Look): Token {
  assert.ok(typeof look === 'object' && 'token' in look, 'a token was expected');
  return look.token;
}
const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('two objects that name one Azure identity', () => {
  it('do not take each other’s fetches away', async () => {
    const { asked, pending, token, look } = setup();
    const renamed = row('renamed', { resourceID: reader.resourceID, clientID: reader.clientID });
    const first = flightOf(look());
    const second = flightOf(look({ row: renamed }));
    assert.equal(flightOf(look()), first);
    assert.equal(flightOf(look({ row: renamed })), second);
    assert.equal(asked.length, 2);
    for (const each of pending) each.settle(token(hour));
    await tick();
    tokenOf(look());
    tokenOf(look({ row: renamed }));
  });
});

describe('token cache', () => {
  it('fetches once for any number of callers and serves the token for half of its life', async () => {
    const { clock, asked, pending, token, look } = setup();
    const flights = Array.from({ length: 100 }, () => flightOf(look()));
    assert.equal(new Set(flights).size, 1);
    assert.equal(asked.length, 1);
    pending[0]?.settle(token(24 * hour));
    await tick();
    assert.ok(typeof flights[0]?.result === 'object' && 'token' in flights[0].result);
    await clock.advance(11.9 * hour * 1000);
    assert.equal(tokenOf(look()).accessToken, 'token-1');
    assert.equal(asked.length, 1);
  });

  it('serves the old token when it is stale and refreshes behind it', async () => {
    const { clock, asked, source, token, look } = setup();
    source.answer = () => token(24 * hour);
    look();
    await clock.advance(12.1 * hour * 1000);
    assert.equal(tokenOf(look()).accessToken, 'token-1', 'the caller does not wait');
    await tick();
    assert.equal(tokenOf(look()).accessToken, 'token-2');
    assert.equal(asked.length, 2);
  });

  it('spreads the refresh by 10 % so that pods of one start do not return together', async () => {
    for (const [random, staleAt] of [
      [0, 0.45],
      [1, 0.55],
    ] as const) {
      const { clock, asked, source, token, look } = setup({ random });
      source.answer = () => token(10 * hour);
      look();
      await clock.advance((staleAt * 10 * hour - 60) * 1000);
      look();
      assert.equal(asked.length, 1);
      await clock.advance(120_000);
      look();
      assert.equal(asked.length, 2);
    }
  });

  it('leaves a source in peace that returns the same token: next try after max(5 min, 10 % of the rest)', async () => {
    const { clock, asked, source, token, look } = setup();
    const same = token(24 * hour);
    source.answer = () => same;
    look();
    await clock.advance(13 * hour * 1000);
    look();
    await tick();
    assert.equal(asked.length, 2);
    await clock.advance(1 * hour * 1000);
    look();
    assert.equal(asked.length, 2, 'not before 10 % of the remaining 11 h');
    await clock.advance(0.2 * hour * 1000);
    look();
    assert.equal(asked.length, 3);
  });

  it('tells the life that is left after 20 h in the cache', async () => {
    const { clock, source, token, look, results } = setup();
    const same = token(24 * hour);
    source.answer = () => same;
    look();
    await clock.advance(20 * hour * 1000);
    const cached = tokenOf(look());
    assert.equal(secondsLeft(cached, clock.wall()), 4 * hour);
    assert.ok(results.length >= 1);
  });

  it('does not serve a token with less than 5 min left, unless the source itself gave it so', async () => {
    const { clock, asked, source, token, look } = setup();
    source.answer = () => token(2 * hour);
    look();
    await clock.advance((2 * hour - 299) * 1000);
    source.answer = () => token(200);
    flightOf(look());
    await tick();
    assert.equal(tokenOf(look()).accessToken, 'token-2');
    assert.equal(asked.length, 2);
    await clock.advance(201_000);
    flightOf(look());
  });

  it('keeps serving a valid token while refreshes fail, and does not hurry', async () => {
    const { clock, asked, source, token, look, question, cache } = setup();
    source.answer = () => token(24 * hour);
    look();
    await clock.advance(13 * hour * 1000);
    source.answer = () => ({ trouble: { kind: 'throttled', text: 'too many' } });
    tokenOf(look());
    await clock.advance(46_000);
    const tries = asked.length;
    assert.ok(tries > 2, 'the refresh itself retries');
    tokenOf(look());
    assert.equal(asked.length, tries, 'the next refresh is not due yet');
    await clock.advance(60_000);
    tokenOf(look());
    assert.equal(asked.length, tries + 1);
    assert.equal(cache.fallback(question())?.accessToken, 'token-1');
  });

  it('honours bypass_cache once in 30 s and falls back to the valid token when that fails', async () => {
    const { clock, asked, source, token, look, question, cache } = setup();
    source.answer = () => token(24 * hour);
    look();
    await tick();
    flightOf(look({ bypass: true }));
    await tick();
    assert.equal(asked[1]?.bypass, true);
    assert.equal(tokenOf(look({ bypass: true })).accessToken, 'token-2');
    await clock.advance(29_000);
    assert.equal(tokenOf(look({ bypass: true })).accessToken, 'token-2');
    assert.equal(asked.length, 2);
    await clock.advance(2_000);
    source.answer = () => ({ trouble: { kind: 'final', status: 403, error: 'x', text: 'no' } });
    const failed = flightOf(look({ bypass: true }));
    await tick();
    assert.ok(typeof failed.result === 'object' && 'trouble' in failed.result);
    assert.equal(cache.fallback(question({ bypass: true }))?.accessToken, 'token-2');
  });

  it('asks with bypass after a fetch without it that was under way', async () => {
    const { asked, pending, token, look } = setup();
    look();
    flightOf(look({ bypass: true }));
    assert.equal(asked.length, 1);
    pending[0]?.settle(token(hour));
    await tick();
    flightOf(look({ bypass: true }));
    assert.equal(asked[1]?.bypass, true);
  });

  it('lets a fetch outlive its callers', async () => {
    const { clock, pending, token, look } = setup();
    look();
    await clock.advance(60_000);
    assert.equal(pending[0]?.signal.aborted, false);
    pending[0]?.settle(token(hour));
    await tick();
    tokenOf(look());
  });

  it('discards what a fetch brings for an identity that went meanwhile', async () => {
    const { pending, token, look, cache, results } = setup();
    const flight = flightOf(look());
    cache.retain([]);
    assert.equal(flight.result, 'dropped');
    assert.equal(pending[0]?.signal.aborted, true);
    pending[0]?.settle(token(hour));
    await tick();
    assert.equal(cache.size, 0);
    assert.equal(results.length, 0);
    assert.equal(look({}, false), 'not cached');
  });

  it('drops the token of an identity that changed in place, and keeps it when only its state changes', async () => {
    const { source, token, look, cache } = setup();
    source.answer = () => token(hour);
    look();
    await tick();
    const changed = (changes: Partial<IdentityRow>) => ({ row: { ...reader, ...changes } });
    cache.retain([changed({ state: 'Created', reason: 'r', resourceID: reader.resourceID.toUpperCase() }).row]);
    tokenOf(look(changed({ state: 'Created' }), false));
    assert.equal(look(changed({ clientID: 'recreated' }), false), 'not cached');
    assert.equal(cache.size, 0);
    look();
    await tick();
    cache.retain([changed({ objectID: 'other' }).row]);
    assert.equal(cache.size, 0);
  });

  it('drops a token when the auxiliary tenants change, and lets the shortest life of its tokens decide', async () => {
    const { clock, source, token, look, cache, asked } = setup();
    const app = row('app', { type: 1, resourceID: '', tenantID: 't1', auxiliaryTenantIDs: ['t2'] });
    source.answer = () => token(hour, { auxiliary: [token(hour / 2).token] });
    look({ row: app });
    await tick();
    await clock.advance(16 * 60_000);
    tokenOf(look({ row: app }));
    await tick();
    assert.equal(asked.length, 2, 'half of the shorter life has passed');
    source.answer = () => ({ trouble: { kind: 'server', text: 'boom' } });
    await clock.advance(26 * 60_000);
    assert.equal(look({ row: app }, false), 'not cached', 'less than 5 min of the shorter one');
    source.answer = () => token(hour, { auxiliary: [token(hour).token] });
    look({ row: app });
    await clock.advance(60_000);
    tokenOf(look({ row: app }, false));
    cache.retain([{ ...app, auxiliaryTenantIDs: ['t2', 't3'] }]);
    assert.equal(cache.size, 0);
  });

  it('keeps identities, resources, capabilities and tenants apart', async () => {
    const { source, token, look, asked } = setup();
    source.answer = () => token(hour);
    const questions: Partial<TokenQuestion>[] = [
      {},
      { resource: 'r/' },
      { resource: 'R' },
      { xmsCc: 'cp1' },
      { row: row('writer') },
      { row: row('app', { type: 1, clientID: 'c', resourceID: '', tenantID: 't1' }) },
      { row: row('app2', { type: 1, clientID: 'c', resourceID: '', tenantID: 't2' }) },
    ];
    for (const question of questions) look(question);
    await tick();
    assert.equal(asked.length, questions.length);
    assert.equal(new Set(questions.map((question) => tokenOf(look(question)).accessToken)).size, questions.length);
  });

  it('holds 256 tokens, forgets the one that was not used for longest, and refuses when all are being fetched', async () => {
    const { source, token, look, cache, asked } = setup();
    source.answer = () => token(hour);
    for (let i = 0; i < 256; i += 1) look({ resource: `r${i}` });
    await tick();
    look({ resource: 'r0' });
    look({ resource: 'one-more' });
    await tick();
    assert.equal(cache.size, 256);
    const count = asked.length;
    tokenOf(look({ resource: 'r0' }));
    assert.equal(look({ resource: 'r1' }, false), 'not cached');
    assert.equal(asked.length, count);

    const busy = setup();
    for (let i = 0; i < 256; i += 1) busy.look({ resource: `r${i}` });
    assert.equal(busy.look({ resource: 'one-more' }), 'full');
  });

  it('retries with growing delays while a caller waits, and then says why', async () => {
    const { clock, asked, source, look, results, cache } = setup();
    source.answer = () => ({ trouble: { kind: 'server', text: 'boom' } });
    const flight = flightOf(look());
    await clock.advance(46_000);
    assert.ok(asked.length >= 5 && asked.length <= 12, `${asked.length} tries`);
    assert.ok(typeof flight.result === 'object' && 'trouble' in flight.result && flight.result.trouble.text === 'boom');
    assert.equal(results.length, 1);
    assert.equal(cache.size, 0);
    assert.equal(clock.timers, 0);
  });

  it('retries "Identity not found" after 1, 2, 4 and 8 s, nothing after a final answer', async () => {
    const { clock, asked, source, look } = setup();
    source.answer = () => ({ trouble: { kind: 'identity_not_found', text: 'Identity not found', requestId: 'x' } });
    look();
    const times: number[] = [];
    for (let second = 0; second <= 20; second += 1) {
      await clock.advance(1000);
      times.push(asked.length);
    }
    assert.deepEqual([times[0], times[2], times[6], times[14], times[20]], [2, 3, 4, 5, 5]);
    source.answer = () => ({ trouble: { kind: 'final', status: 400, error: 'e', text: 't' } });
    look({ resource: 'other' });
    await clock.advance(45_000);
    assert.equal(asked.length, 6);
  });

  it('lives with a clock that jumps: no circle of fetches, nothing expired served', async () => {
    const { clock, asked, source, token, look } = setup();
    source.answer = () => token(24 * hour);
    look();
    await tick();
    clock.jump(-300_000);
    for (let i = 0; i < 100; i += 1) tokenOf(look());
    assert.equal(asked.length, 1);
    clock.jump(30 * hour * 1000);
    flightOf(look());
    await tick();
    for (let i = 0; i < 100; i += 1) tokenOf(look());
    assert.equal(asked.length, 2);
  });
});
