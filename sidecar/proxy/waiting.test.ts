// Rows of design 5's error table that no source has a part in: identities that are not bound, failed, pending or unconfirmed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { row } from '../testing.ts';
import { bodyOf, json, startWorld } from './world.testing.ts';

describe('the error table: identities', () => {
  it('pending at the deadline: 503 with what it waits for', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created', reason: 'the scale set is throttled until 12:00' })]);
    const asked = world.token();
    assert.equal(await world.after(44_900, asked), undefined);
    const answer = await world.after(200, asked);
    assert.equal(answer?.status, 503);
    const wait = Number(answer?.headers.get('retry-after'));
    assert.ok(wait >= 5 && wait <= 20);
    assert.match((await bodyOf(answer)).error_description ?? '', /team\/a \(binding team\/a-binding\).*throttled until 12:00/);
    await world.proxy.close();
  });

  it('broker never reached: 503 that says so, without the word that ends credential chains', async () => {
    const world = await startWorld([], () => Promise.reject(new Error('network is unreachable')));
    const answer = await world.after(46_000, world.token());
    assert.equal(answer?.status, 503);
    const text = (await bodyOf(answer)).error_description ?? '';
    assert.match(text, /broker \(Service aad-pod-identity-broker\) has not answered in the 45 s since .*9443: network is not reachable/);
    await world.proxy.close();
  });

  it('not bound: 400 that starts with IMDS words and names what is bound', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    const asked = world.token('resource=r&client_id=other');
    assert.equal(await world.after(4900, asked), undefined, 'the binding may be on its way');
    const answer = await world.after(200, asked);
    assert.equal(answer?.status, 400);
    const body = await bodyOf(answer);
    assert.equal(body.error, 'invalid_request');
    assert.match(body.error_description ?? '', /^Identity not found: client_id other .*team\/a/);
    assert.equal(world.asked.imds.length, 0);
    await world.proxy.close();
  });

  it('bound while it was waited for: 200', async () => {
    const world = await startWorld();
    await world.bind([row('a')]);
    const asked = world.token('resource=r&client_id=client-of-b');
    await world.clock.advance(2000);
    await world.bind([row('a'), row('b')]);
    assert.equal((await asked).status, 200);
    await world.proxy.close();
  });

  it('failed for good: 400 with the reason, at once', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Failed', reason: 'quarantined: Azure does not know it' })]);
    const answer = await world.token();
    assert.equal(answer.status, 400);
    assert.match((await bodyOf(answer)).error_description ?? '', /^Identity not found: .*quarantined/);
    await world.proxy.close();
  });

  it('pending: says since when, however often its reason changes, and that the broker is silent meanwhile', async () => {
    const world = await startWorld();
    const seen = new Date(world.clock.wall()).toISOString();
    await world.bind([row('a', { state: 'Created' })]);
    await world.clock.advance(10 * 60_000);
    await world.bind([row('a', { state: 'Created', reason: 'VMNotFound: the node is new' })]);
    world.answers.poll = () => Promise.reject(new Error('ConnectionRefused'));
    const text = (await bodyOf(await world.after(46_000, world.token()))).error_description ?? '';
    assert.ok(text.includes(`pending since ${seen}`), text);
    assert.match(text, /VMNotFound: the node is new$/);
    await world.clock.advance(130_000);
    const later = (await bodyOf(await world.after(46_000, world.token()))).error_description ?? '';
    assert.match(later, /broker cannot be reached at this moment: .*ConnectionRefused/);
    await world.proxy.close();
  });

  it('pending again after it was assigned: since this time, not the first', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created' })]);
    await world.bind([row('a')]);
    await world.clock.advance(60_000);
    const again = new Date(world.clock.wall()).toISOString();
    await world.bind([row('a', { state: 'Created' })]);
    assert.ok((await bodyOf(await world.after(46_000, world.token()))).error_description?.includes(`since ${again}`));
    await world.proxy.close();
  });

  it('pending, asked for by an id that Azure has yet to tell: 503 that says so', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created', clientID: '' })]);
    const answer = await world.after(46_000, world.token('resource=r&client_id=x'));
    assert.equal(answer?.status, 503);
    assert.match((await bodyOf(answer)).error_description ?? '', /^client_id is known once .* team\/a .* is pending since/);
    await world.proxy.close();
  });

  it('a pod without any identity: held and 503 while it is young, 400 at once afterwards, with the objects that are missing', async () => {
    const world = await startWorld();
    await world.bind([]);
    const asked = world.token();
    assert.equal(await world.after(44_500, asked), undefined);
    const young = await world.after(1000, asked);
    assert.equal(young?.status, 503);
    await world.clock.advance(80_000);
    const old = await world.token();
    assert.equal(old.status, 400);
    for (const answer of [young, old])
      assert.match(
        (await bodyOf(answer)).error_description ?? '',
        /^Identity not found: no identity is bound to pod team\/app\. .*Needed are an AzureIdentity and an AzureIdentityBinding .* label aadpodidbinding$/,
      );
    await world.proxy.close();
  });

  it('a default identity that is not bound: 400 that names the annotation and the missing object', async () => {
    const world = await startWorld();
    const pod = { name: 'app', namespace: 'team', uid: 'uid-1', defaultIdentity: 'b' };
    await world.bind([row('a')], { pod });
    const answer = await world.after(5100, world.token());
    assert.equal(answer?.status, 400);
    assert.match(
      (await bodyOf(answer)).error_description ?? '',
      /default identity team\/b \(annotation aadpodidentity.k8s.io\/default-identity\) is not bound .* Needed are AzureIdentity team\/b and/,
    );
    assert.equal(world.asked.imds.length, 0, 'another one is never substituted');
    await world.proxy.close();
  });

  it('a pod that the broker refuses while a request is held: 400 with its words, at once', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created' })]);
    const held = world.token();
    world.answers.poll = () => json({ error: { code: 'not_participating', message: 'pod team/app has no label aadpodidbinding' } }, 403);
    await world.bind([]);
    const answer = await world.after(0, held);
    assert.equal(answer?.status, 400);
    assert.match((await bodyOf(answer)).error_description ?? '', /^Identity not found: .*not_participating: pod team\/app has no label/);
    await world.proxy.close();
  });

  it('excepted while a request is held: IMDS answers it', async () => {
    const world = await startWorld();
    await world.bind([row('a', { state: 'Created' })]);
    const held = world.token('resource=r&client_id=of-the-node');
    world.answers.imds = () => json({ access_token: 'of-the-node' });
    await world.bind([row('a', { state: 'Created' })], { excepted: true });
    assert.equal((await bodyOf(await held)).access_token, 'of-the-node');
    await world.proxy.close();
  });
});
