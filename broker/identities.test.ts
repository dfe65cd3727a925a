import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, test } from 'node:test';
import type { Fixture, RunningBroker } from './testing/running-broker.ts';
import { makeFixture, podPath, refused, row, runBroker } from './testing/running-broker.ts';

// The time limit only ends what would hang: a poll that nothing wakes.
describe('polls', { timeout: 60_000 }, () => {
  let fixture: Fixture;
  let run: RunningBroker;
  before(async () => {
    fixture = await makeFixture();
  });
  beforeEach(async () => {
    run = await runBroker(fixture);
  });
  afterEach(() => run.stop());

  test('answers with the pod’s rows, the bundle, a cursor and an ETag; the same again is 304', async () => {
    const first = await run.ask('/v1/identities');
    assert.equal(first.status, 200);
    const { asOf, ...rest } = first.body;
    assert.equal(typeof asOf, 'string');
    assert.deepEqual(rest, {
      pod: { name: 'app-0', namespace: 'team', uid: 'uid-1', defaultIdentity: 'id' },
      excepted: false,
      caBundle: fixture.ca.certificate,
      identities: [row],
    });
    run.informers.advance(9);
    const etag = String(first.headers.etag);
    assert.match(etag, /^"[\w-]{22}"$/);
    for (const known of [etag, `W/${etag}`, `"x", ${etag}`, '*']) {
      const again = await run.ask('/v1/identities', { headers: { 'if-none-match': known } });
      assert.deepEqual([again.status, again.headers.etag, again.body], [304, etag, undefined], known);
    }
    const other = await run.ask('/v1/identities', { headers: { 'if-none-match': '"x"' } });
    assert.equal(other.status, 200);
  });

  test('a poll is held until something of this pod changes', async () => {
    const { headers } = await run.ask('/v1/identities');
    const polling = run.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await run.hold(1);
    run.informers.set('team/other', { uid: 'x', excepted: false, identities: [] });
    run.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [row], defaultIdentity: 'id' });
    await run.hold(1);
    run.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [{ ...row, state: 'Assigned' }], defaultIdentity: 'id' });
    const answer = await polling;
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body.identities, [{ ...row, state: 'Assigned' }]);
    assert.equal(run.broker.heldPolls, 0);
  });

  test('a poll ends with 304 when its time is over, and at once when the client leaves', async () => {
    const { headers } = await run.ask('/v1/identities');
    const known = { 'if-none-match': String(headers.etag) };
    assert.equal((await run.ask('/v1/identities?wait=1', { headers: known })).status, 304);
    const leaving = new AbortController();
    const polling = run.ask('/v1/identities?wait=300', { headers: known, signal: leaving.signal });
    await run.hold(1);
    leaving.abort();
    await assert.rejects(polling, { name: 'AbortError' });
    await run.hold(0);
  });

  test('a new CA bundle wakes everybody', async () => {
    const { headers } = await run.ask('/v1/identities');
    const polling = run.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await run.hold(1);
    run.published.caBundle = `${fixture.ca.certificate}${fixture.ca.certificate}`;
    run.published.tell();
    assert.equal((await polling).body.caBundle, `${fixture.ca.certificate}${fixture.ca.certificate}`);
  });

  test('a replica that is behind the caller’s last answer waits until it has caught up, or says 503', async () => {
    const { asOf } = (await run.ask('/v1/identities')).body;
    run.informers.state.version = 4;
    const asking = run.ask(`/v1/identities?asOf=${asOf}`);
    run.informers.advance(5);
    assert.equal((await asking).status, 200);
    run.informers.state.version = 4;
    refused(await run.ask(`/v1/identities?asOf=${asOf}`), 503, 'not_ready');
    // A cursor of before a restored backup must not count for ever.
    run.clock.ahead += 11 * 60_000;
    assert.equal((await run.ask(`/v1/identities?asOf=${asOf}`)).status, 200);
  });

  test('bad parameters are named', async () => {
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
      const answer = await run.ask(`/v1/identities?${query}`);
      refused(answer, 400, 'bad_request');
      assert.match(answer.body.error.message, /^(wait|asOf) /, query);
    }
    refused(await run.ask('/v1/other'), 404, 'not_found');
    refused(await run.ask('/v1/token', { body: {} }), 404, 'not_found');
  });

  test('nobody is refused before the copies have synced, and there is no token without authentication', async () => {
    run.informers.state.synced = false;
    run.informers.set('team/app-0', undefined);
    refused(await run.ask('/v1/identities'), 503, 'not_ready');
    assert.equal(run.broker.ready, false);
    run.informers.state.synced = true;
    run.caller.token = 'x.y.z';
    const answer = await run.ask('/v1/identities');
    refused(answer, 401, 'unauthenticated');
    assert.equal(answer.headers['www-authenticate'], 'Bearer');
    assert.deepEqual(
      run.api.calls.filter((call) => call.includes('pods')),
      [],
    );
  });

  test('a revoking code needs the API server’s word', async () => {
    run.informers.set('team/app-0', undefined);
    const label = { aadpodidbinding: 'x' };
    run.api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-1', labels: label } });
    refused(await run.ask('/v1/identities'), 503, 'not_ready');
    run.api.state.failing.add(podPath);
    refused(await run.ask('/v1/identities'), 503, 'not_ready');
    run.api.state.failing.clear();
    run.api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-1' } });
    refused(await run.ask('/v1/identities'), 403, 'not_participating');
    run.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities: [] });
    assert.equal((await run.ask('/v1/identities')).status, 200, 'the label is back');
  });

  test('the pod of that name is another one now', async () => {
    run.informers.set('team/app-0', { uid: 'uid-2', excepted: false, identities: [row] });
    run.api.state.pods.set(podPath, { metadata: { name: 'app-0', namespace: 'team', uid: 'uid-2', labels: { aadpodidbinding: 'x' } } });
    refused(await run.ask('/v1/identities'), 403, 'pod_mismatch');
  });

  test('a held poll of a deleted pod ends with pod_gone; the API server is asked once in 10 s', async () => {
    const { headers } = await run.ask('/v1/identities');
    const polling = run.ask('/v1/identities?wait=300', { headers: { 'if-none-match': String(headers.etag) } });
    await run.hold(1);
    run.informers.set('team/app-0', undefined);
    refused(await polling, 404, 'pod_gone');
    refused(await run.ask('/v1/identities'), 404, 'pod_gone');
    assert.equal(run.api.count(podPath), 1);
    run.clock.ahead += 10_000;
    refused(await run.ask('/v1/identities'), 404, 'pod_gone');
    assert.equal(run.api.count(podPath), 2);
  });
});
