import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { boundTo, signToken } from './testing/fake-api-server.ts';
import type { Fixture, Harness } from './testing/harness.ts';
import { assertRefused, createFixture, podPath, row, startHarness } from './testing/harness.ts';

// The time-out only ends a poll that hangs.
describe('GET /v1/identities', { timeout: 60_000 }, () => {
  let fixture: Fixture;
  let harness: Harness;
  before(async () => {
    fixture = await createFixture();
  });
  beforeEach(async () => {
    harness = await startHarness(fixture);
  });
  afterEach(() => harness.stop());

  it('answers with rows, CA bundle, cursor and ETag, then with 304', async () => {
    const first = await harness.ask('/v1/identities');
    assert.equal(first.status, 200);
    const { asOf, ...rest } = first.body;
    assert.equal(typeof asOf, 'string');
    assert.deepEqual(rest, {
      pod: { name: 'app-0', namespace: 'team', uid: 'uid-1', defaultIdentity: 'id' },
      excepted: false,
      caBundle: fixture.ca.certificate,
      identities: [row],
    });
    harness.informers.advance(9);
    const etag = String(first.headers.etag);
    assert.match(etag, /^"[\w-]{22}"$/);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await harness.ask('/v1/identities', { headers: { 'if-none-match': known } });
      assert.deepEqual([again.status, again.headers.etag, again.body], [304, etag, undefined], known);
    }
    const other = await harness.ask('/v1/identities', { headers: { 'if-none-match': '"x"' } });
    assert.equal(other.status, 200);
  });

  it('hands on what a sidecar counted when its poll comes, not at its end', async () => {
    const { headers } = await harness.ask('/v1/identities?counts=token:2,slow:1,newer:7');
    assert.deepEqual(harness.counted, ['sidecar token:2,slow:1']);
    const polling = harness.ask('/v1/identities?wait=300&counts=broker_failures:1', { headers: { 'if-none-match': String(headers.etag) } });
    await harness.untilHeld(1);
    assert.equal(harness.counted[1], 'sidecar broker_failures:1');
    harness.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [] });
    await polling;
    assert.equal(harness.counted.length, 2);
  });

  it('takes no counts of a pod that has no part, and answers to any text', async () => {
    harness.informers.set('team/app-0', undefined);
    assert.equal((await harness.ask('/v1/identities?counts=token:2')).status, 404);
    harness.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [] });
    assert.equal((await harness.ask(`/v1/identities?counts=${encodeURIComponent('{"token":1}')}`)).status, 200);
    assert.deepEqual(harness.counted, []);
  });

  it('holds a poll until the rows of its pod change', async () => {
    const { headers } = await harness.ask('/v1/identities');
    const polling = harness.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await harness.untilHeld(1);
    harness.informers.set('team/other', { uid: 'x', excepted: false, identities: [] });
    harness.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [row], defaultIdentity: 'id' });
    await harness.untilHeld(1);
    harness.informers.set('team/app-0', {
      uid: 'uid-1',
      excepted: false,
      identities: [{ ...row, state: 'Assigned' }],
      defaultIdentity: 'id',
    });
    const answer = await polling;
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body.identities, [{ ...row, state: 'Assigned' }]);
    assert.equal(harness.broker.heldPolls, 0);
  });

  it('ends a poll with 304 after its time, and at once when the client leaves', async () => {
    const { headers } = await harness.ask('/v1/identities');
    const known = { 'if-none-match': String(headers.etag) };
    assert.equal((await harness.ask('/v1/identities?wait=1', { headers: known })).status, 304);
    const leaving = new AbortController();
    const polling = harness.ask('/v1/identities?wait=300', { headers: known, signal: leaving.signal });
    await harness.untilHeld(1);
    leaving.abort();
    await assert.rejects(polling, { name: 'AbortError' });
    await harness.untilHeld(0);
  });

  it('answers the oldest of five polls of a pod with 304, and holds four', async () => {
    const { headers } = await harness.ask('/v1/identities');
    const etag = String(headers.etag);
    const ended: string[] = [];
    const poll = (name: string) =>
      harness.ask('/v1/identities?wait=300', { headers: { 'if-none-match': etag } }).then((answer) => {
        ended.push(name);
        return answer;
      });
    const polls = [];
    for (const name of ['1', '2', '3', '4']) {
      polls.push(poll(name));
      await harness.untilHeld(polls.length);
    }
    harness.informers.set('team/app-1', { uid: 'uid-7', excepted: false, identities: [row] });
    harness.caller.token = await signToken(fixture.tokens, harness.clock.wall(), {
      kubernetes: boundTo({ namespace: 'team', name: 'app-1', uid: 'uid-7' }),
    });
    const { headers: others } = await harness.ask('/v1/identities');
    const other = harness.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(others.etag) } });
    await harness.untilHeld(5);
    harness.caller.token = await signToken(fixture.tokens, harness.clock.wall());
    polls.push(poll('5'));
    const first = await polls[0];
    assert.deepEqual([first?.status, first?.headers.etag, first?.body], [304, etag, undefined]);
    await harness.untilHeld(5);
    assert.deepEqual([ended, harness.refusals], [['1'], ['polls']]);
    harness.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [] });
    for (const answer of await Promise.all(polls.slice(1))) assert.equal(answer.status, 200);
    harness.informers.set('team/app-1', { uid: 'uid-7', excepted: false, identities: [] });
    assert.equal((await other).status, 200);
  });

  it('answers every held poll when the CA bundle changes', async () => {
    const { headers } = await harness.ask('/v1/identities');
    const polling = harness.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await harness.untilHeld(1);
    harness.certificate.set({ caBundle: `${fixture.ca.certificate}${fixture.ca.certificate}` });
    assert.equal((await polling).body.caBundle, `${fixture.ca.certificate}${fixture.ca.certificate}`);
  });

  it('waits for caches that are behind the cursor, and answers 503 after 2 s', async () => {
    const { asOf } = (await harness.ask('/v1/identities')).body;
    harness.informers.state.version = 4;
    const asking = harness.ask(`/v1/identities?asOf=${asOf}`);
    harness.informers.advance(5);
    assert.equal((await asking).status, 200);
    harness.informers.state.version = 4;
    assertRefused(await harness.ask(`/v1/identities?asOf=${asOf}`), 503, 'not_ready');
    // A cursor from before a restore of the cluster holds nothing back for ever.
    harness.time.ahead += 11 * 60_000;
    assert.equal((await harness.ask(`/v1/identities?asOf=${asOf}`)).status, 200);
  });

  it('names a malformed parameter', async () => {
    for (const query of [
      'wait=-1',
      'wait=x',
      'wait=301',
      'wait=',
      'wait=1&wait=2',
      'asOf=!',
      `asOf=${'A'.repeat(4000)}`,
      'asOf=e30',
      'asOf=a&asOf=b',
    ]) {
      const answer = await harness.ask(`/v1/identities?${query}`);
      assertRefused(answer, 400, 'bad_request');
      assert.match(answer.body.error.message, /^(wait|asOf) /, query);
    }
    assertRefused(await harness.ask('/v1/other'), 404, 'not_found');
  });

  it('answers 503 before the caches have synced, then 401 for a bad token', async () => {
    harness.informers.state.synced = false;
    harness.informers.set('team/app-0', undefined);
    assertRefused(await harness.ask('/v1/identities'), 503, 'not_ready');
    harness.informers.state.synced = true;
    harness.caller.token = 'x.y.z';
    const answer = await harness.ask('/v1/identities');
    assertRefused(answer, 401, 'unauthenticated');
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.deepEqual(
      harness.api.calls.filter((call) => call.includes('pods')),
      [],
    );
  });

  it('gives a revoking code only after the API server confirms it', async () => {
    harness.informers.set('team/app-0', undefined);
    const label = { aadpodidbinding: 'x' };
    harness.api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-1', labels: label } });
    assertRefused(await harness.ask('/v1/identities'), 503, 'not_ready');
    harness.api.state.failing.add(podPath);
    assertRefused(await harness.ask('/v1/identities'), 503, 'not_ready');
    harness.api.state.failing.clear();
    harness.api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-1' } });
    assertRefused(await harness.ask('/v1/identities'), 403, 'not_participating');
    harness.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [] });
    assert.equal((await harness.ask('/v1/identities')).status, 200, 'the label is back');
  });

  it('answers pod_mismatch when a new pod has the name', async () => {
    harness.informers.set('team/app-0', { uid: 'uid-2', excepted: false, identities: [row] });
    harness.api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-2', labels: { aadpodidbinding: 'x' } } });
    assertRefused(await harness.ask('/v1/identities'), 403, 'pod_mismatch');
  });

  it('ends the held poll of a deleted pod with pod_gone, with one GET in 10 s', async () => {
    const { headers } = await harness.ask('/v1/identities');
    const polling = harness.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await harness.untilHeld(1);
    harness.informers.set('team/app-0', undefined);
    assertRefused(await polling, 404, 'pod_gone');
    assertRefused(await harness.ask('/v1/identities'), 404, 'pod_gone');
    assert.equal(harness.api.count(podPath), 1);
    harness.time.ahead += 10_001;
    assertRefused(await harness.ask('/v1/identities'), 404, 'pod_gone');
    assert.equal(harness.api.count(podPath), 2);
  });
});
