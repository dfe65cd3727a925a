// What an application gets while its identity is not bound, pending, failed or unconfirmed, on a fake clock.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { json, row } from '../testing/fixtures.ts';
import { bodyOf, messageOf, startProxyHarness } from '../testing/proxy-harness.ts';

test('answers 503 at the deadline for a pending identity, with the reason', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created', reason: 'the scale set is throttled until 12:00' })]);
  const waiting = harness.requestToken();
  assert.equal(await harness.responseAfter(44_900, waiting), undefined);
  const response = await harness.responseAfter(200, waiting);
  assert.equal(response?.status, 503);
  const retryAfter = Number(response?.headers.get('retry-after'));
  assert.ok(retryAfter >= 5 && retryAfter <= 20);
  assert.match(await messageOf(response), /team\/a \(binding team\/a-binding\).*throttled until 12:00/);
  await harness.proxy.close();
});

test('answers 503 with the last error when the broker was never reached', async () => {
  const harness = await startProxyHarness({ respondToPoll: () => Promise.reject(new Error('network is unreachable')) });
  const response = await harness.responseAfter(46_000, harness.requestToken());
  assert.equal(response?.status, 503);
  assert.match(
    await messageOf(response),
    /broker \(Service aad-pod-identity-broker\) has not answered in the 45 s since .*9443: network is not reachable/,
  );
  await harness.proxy.close();
});

test('answers 400 after 5 s for an unbound identity, and lists the bound ones', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  const waiting = harness.requestToken('resource=r&client_id=other');
  assert.equal(await harness.responseAfter(4900, waiting), undefined, 'the binding may be on its way');
  const response = await harness.responseAfter(200, waiting);
  assert.equal(response?.status, 400);
  const body = await bodyOf(response);
  assert.equal(body.error, 'invalid_request');
  assert.match(body.error_description ?? '', /^Identity not found: client_id other .*team\/a/);
  assert.equal(harness.sent.imds.length, 0);
  await harness.proxy.close();
});

test('answers 200 when the identity is bound while the request waits', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  const waiting = harness.requestToken('resource=r&client_id=client-of-b');
  await harness.clock.advance(2000);
  await harness.bind([row('a'), row('b')]);
  assert.equal((await waiting).status, 200);
  await harness.proxy.close();
});

test('answers 400 at once for an identity whose assignment failed, with the reason', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Failed', reason: 'quarantined: Azure does not know it' })]);
  const response = await harness.requestToken();
  assert.equal(response.status, 400);
  assert.match(await messageOf(response), /^Identity not found: .*quarantined/);
  await harness.proxy.close();
});

test('says since when an identity is pending, however often its reason changes', async () => {
  const harness = await startProxyHarness();
  const since = new Date(harness.clock.wall()).toISOString();
  await harness.bind([row('a', { state: 'Created' })]);
  await harness.clock.advance(10 * 60_000);
  await harness.bind([row('a', { state: 'Created', reason: 'VMNotFound: the node is new' })]);
  const message = await messageOf(await harness.responseAfter(46_000, harness.requestToken()));
  assert.ok(message.includes(`pending since ${since}`), message);
  assert.match(message, /VMNotFound: the node is new$/);
  await harness.proxy.close();
});

test('says that the broker cannot be reached while an identity is pending', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created' })]);
  harness.respond.poll = () => Promise.reject(new Error('ConnectionRefused'));
  await harness.clock.advance(130_000);
  const message = await messageOf(await harness.responseAfter(46_000, harness.requestToken()));
  assert.match(message, /broker cannot be reached at this moment: .*ConnectionRefused/);
  await harness.proxy.close();
});

test('names the refused address where the broker gives the token', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('app', { type: 1, clientID: 'app-client', resourceID: '', tenantID: 'tenant' })]);
  const unreached = ({ host }: URL) =>
    Promise.reject(new Error(host === '10.0.0.9:9443' ? 'ECONNREFUSED: Unable to connect' : 'getaddrinfo EAI_AGAIN broker.test'));
  harness.respond.poll = unreached;
  harness.respond.token = unreached;
  await harness.clock.advance(130_000);
  const message = await messageOf(await harness.responseAfter(46_000, harness.requestToken()));
  assert.match(message, /from the identity broker: 10\.0\.0\.9:9443: ECONNREFUSED: .*; broker\.test:9443: getaddrinfo EAI_AGAIN/);
  await harness.proxy.close();
});

test('counts the wait of an identity from when it became pending the last time', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created' })]);
  await harness.bind([row('a')]);
  await harness.clock.advance(60_000);
  const again = new Date(harness.clock.wall()).toISOString();
  await harness.bind([row('a', { state: 'Created' })]);
  const message = await messageOf(await harness.responseAfter(46_000, harness.requestToken()));
  assert.ok(message.includes(`since ${again}`), message);
  await harness.proxy.close();
});

test('answers 503 for a client id that is unknown until the identity is attached', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created', clientID: '' })]);
  const response = await harness.responseAfter(46_000, harness.requestToken('resource=r&client_id=x'));
  assert.equal(response?.status, 503);
  assert.match(await messageOf(response), /^client_id is known once .* team\/a .* is pending since/);
  await harness.proxy.close();
});

test('answers a pod without identities 503 while it is young, then 400 at once', async () => {
  const harness = await startProxyHarness();
  await harness.bind([]);
  const waiting = harness.requestToken();
  assert.equal(await harness.responseAfter(44_500, waiting), undefined);
  const young = await harness.responseAfter(1000, waiting);
  assert.equal(young?.status, 503);
  await harness.clock.advance(80_000);
  const old = await harness.requestToken();
  assert.equal(old.status, 400);
  for (const response of [young, old])
    assert.match(
      await messageOf(response),
      /^Identity not found: no identity is bound to pod team\/app\. .*Needed are an AzureIdentity and an AzureIdentityBinding .* label aadpodidbinding$/,
    );
  await harness.proxy.close();
});

test('answers 400 for a default identity that is not bound, and substitutes no other', async () => {
  const harness = await startProxyHarness();
  const pod = { name: 'app', namespace: 'team', uid: 'uid-1', defaultIdentity: 'b' };
  await harness.bind([row('a')], { pod });
  const response = await harness.responseAfter(5100, harness.requestToken());
  assert.equal(response?.status, 400);
  assert.match(
    await messageOf(response),
    /default identity team\/b \(annotation aadpodidentity.k8s.io\/default-identity\) is not bound .* Needed are AzureIdentity team\/b and/,
  );
  assert.equal(harness.sent.imds.length, 0);
  await harness.proxy.close();
});

test('answers 400 at once when the broker revokes the pod while a request waits', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created' })]);
  const waiting = harness.requestToken();
  harness.respond.poll = () => json({ error: { code: 'not_participating', message: 'pod team/app has no label aadpodidbinding' } }, 403);
  await harness.bind([]);
  const response = await harness.responseAfter(0, waiting);
  assert.equal(response?.status, 400);
  assert.match(await messageOf(response), /^Identity not found: .*not_participating: pod team\/app has no label/);
  await harness.proxy.close();
});

test('passes a request to IMDS when the pod becomes excepted while it waits', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a', { state: 'Created' })]);
  const waiting = harness.requestToken('resource=r&client_id=of-the-node');
  harness.respond.imds = () => json({ access_token: 'of-the-node' });
  await harness.bind([row('a', { state: 'Created' })], { excepted: true });
  assert.equal((await bodyOf(await waiting)).access_token, 'of-the-node');
  await harness.proxy.close();
});

test('serves only cached tokens when the broker is silent for --identity-ttl', async () => {
  const harness = await startProxyHarness({ flags: ['--identity-ttl=3600'] });
  await harness.bind([row('a')]);
  await harness.requestToken('resource=known');
  harness.respond.poll = () => Promise.reject(new Error('ConnectionRefused'));
  await harness.clock.advance(2 * 3_600_000);
  assert.equal((await harness.requestToken('resource=known')).status, 200);
  const response = await harness.responseAfter(46_000, harness.requestToken('resource=new'));
  assert.equal(response?.status, 503);
  assert.match(await messageOf(response), /new tokens are not fetched: .* last confirmed .* 72\d\d s ago: .*ConnectionRefused/);
  assert.equal(harness.sent.imds.length, 1);
  await harness.proxy.close();
});

test('discards a fetch in flight when the broker removes its identity', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a'), row('b')]);
  let release = (_response: Response) => {};
  harness.respond.imds = () =>
    new Promise((resolve) => {
      release = resolve;
    });
  const waiting = harness.requestToken('resource=r&client_id=client-of-b');
  await harness.clock.advance(100);
  await harness.bind([row('a')]);
  release(harness.tokenResponse(new URL('http://x/?msi_res_id=b')));
  const response = await harness.responseAfter(6000, waiting);
  assert.equal(response?.status, 400);
  assert.match(await messageOf(response), /^Identity not found/);
  await harness.proxy.close();
});
