import assert from 'node:assert/strict';
import { test } from 'node:test';
import { json, row } from '../testing/fixtures.ts';
import { startProxyHarness } from '../testing/proxy-harness.ts';
import { respondToMonitoring } from './metrics.ts';

const get = (path: string, method = 'GET') => ({ method, url: `http://10.1.0.2:9000${path}` });

test('counts responses by route and status and fetches by result', async () => {
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  for (let i = 0; i < 3; i += 1) await harness.requestToken();
  harness.respond.imds = () => json({ error: 'access_denied', error_description: 'no' }, 403);
  await harness.requestToken('resource=other');
  await harness.requestToken('');
  await harness.request('/elsewhere');
  await harness.clock.advance(7000);
  const page = await respondToMonitoring(get('/metrics?x=1'), harness.proxy.metrics).text();
  const lines = page.split('\n');
  for (const line of [
    'aadpodidentity_sidecar_requests_total{route="token",status="200"} 3',
    'aadpodidentity_sidecar_requests_total{route="token",status="403"} 1',
    'aadpodidentity_sidecar_requests_total{route="refusal",status="400"} 1',
    'aadpodidentity_sidecar_requests_total{route="refusal",status="404"} 1',
    'aadpodidentity_sidecar_token_fetches_total{result="token"} 1',
    'aadpodidentity_sidecar_token_fetches_total{result="final"} 1',
    'aadpodidentity_sidecar_cached_tokens 1',
  ])
    assert.ok(lines.includes(line), `${line} is not in\n${page}`);
  for (const line of lines) assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [\d.]+|)$/);
  await harness.proxy.close();
});

test('exposes the age of the last response of the broker, once there is one', async () => {
  const name = 'aadpodidentity_sidecar_broker_contact_age_seconds';
  const harness = await startProxyHarness();
  await harness.bind([row('a')]);
  await harness.clock.advance(7000);
  const age = new RegExp(`^${name} (.*)$`, 'm').exec(harness.proxy.metrics.text())?.[1];
  assert.equal(Math.floor(Number(age)), 7);
  await harness.proxy.close();

  const unreached = await startProxyHarness({ respondToPoll: () => Promise.reject(new Error('refused')) });
  assert.doesNotMatch(unreached.proxy.metrics.text(), new RegExp(`^${name} `, 'm'));
  await unreached.proxy.close();
});

test('serves health and metrics only on the listener for monitoring', async () => {
  const harness = await startProxyHarness();
  const status = (path: string, method?: string) => respondToMonitoring(get(path, method), harness.proxy.metrics).status;
  assert.equal(await respondToMonitoring(get('/healthz'), harness.proxy.metrics).text(), 'ok\n');
  for (const path of ['/', '/nonce', '/metadata/identity/oauth2/token?resource=r', '/msi/token?resource=r', '/metrics/'])
    assert.equal(status(path), 404, path);
  assert.equal(status('/metrics', 'POST'), 405);
  assert.equal(harness.sent.imds.length, 0);
  await harness.proxy.close();
});
