import assert from 'node:assert/strict';
import { test } from 'node:test';
import { sidecarStatusPath } from '../../api/sidecar-status.ts';
import { version } from '../../api/version.ts';
import { row } from '../testing/fixtures.ts';
import { bodyOf, startProxyHarness } from '../testing/proxy-harness.ts';

test('shows the identities and the broker, and no token', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  await harness.requestToken();
  const response = await harness.request(sidecarStatusPath);
  // helm test tells the token proxy from the IMDS of the node by it.
  assert.equal(response.headers.get('server'), `IMDS/aad-pod-identity/${version}`);
  const body = await bodyOf(response);
  assert.deepEqual(body, {
    version,
    broker: { address: '10.0.0.9:9443', answeredSecondsAgo: 0 },
    excepted: false,
    defaultIdentity: 'team/a',
    identities: [row('a')],
    cachedTokens: 1,
  });
  assert.doesNotMatch(JSON.stringify(body), /token-of-a/);
  await harness.proxy.close();
});

test('shows why the broker does not answer', async () => {
  const harness = await startProxyHarness({ respondToPoll: () => Promise.reject(new Error('connection refused')) });
  await harness.clock.advance(1000);
  const { broker, identities } = (await bodyOf(await harness.request(sidecarStatusPath))) as unknown as {
    broker: { error: string; answeredSecondsAgo?: number };
    identities: unknown[];
  };
  assert.match(broker.error, /10\.0\.0\.9:9443: connection refused/);
  assert.equal(broker.answeredSecondsAgo, undefined);
  assert.deepEqual(identities, []);
  await harness.proxy.close();
});

test('shows its status to no web page: the header of IMDS is required', async () => {
  const harness = await startProxyHarness();
  assert.equal((await harness.request(sidecarStatusPath, { headers: {} })).status, 400);
  assert.equal((await harness.request(sidecarStatusPath, { headers: { metadata: 'true', host: 'rebound.example' } })).status, 400);
  await harness.proxy.close();
});
