// What monitoring sees of the proxy, and that its listener serves nothing else.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { row } from '../testing.ts';
import { answerMonitoring } from './metrics.ts';
import { json, startWorld } from './world.testing.ts';

const get = (url: string, method = 'GET') => ({ method, url: `http://10.1.0.2:9000${url}` });

it('counts answers by route and status, fetches by how they ended, and tells the age of the last word of the broker', async () => {
  const world = await startWorld();
  const page = () => answerMonitoring(get('/metrics?x=1'), world.proxy.metrics).text();
  const silent = await startWorld([], () => Promise.reject(new Error('refused')));
  assert.doesNotMatch(silent.proxy.metrics.text(), /^aadpodidentity_sidecar_broker_contact_age_seconds /m, 'never reached');
  await silent.proxy.close();

  await world.bind([row('a')]);
  for (let i = 0; i < 3; i += 1) await world.token();
  world.answers.imds = () => json({ error: 'access_denied', error_description: 'no' }, 403);
  await world.token('resource=other');
  await world.token('');
  await world.ask('/elsewhere');
  await world.clock.advance(7000);
  const lines = (await page()).split('\n');
  for (const line of [
    'aadpodidentity_sidecar_requests_total{route="token",status="200"} 3',
    'aadpodidentity_sidecar_requests_total{route="token",status="403"} 1',
    'aadpodidentity_sidecar_requests_total{route="refusal",status="400"} 1',
    'aadpodidentity_sidecar_requests_total{route="refusal",status="404"} 1',
    'aadpodidentity_sidecar_token_fetches_total{result="token"} 1',
    'aadpodidentity_sidecar_token_fetches_total{result="final"} 1',
    'aadpodidentity_sidecar_cached_tokens 1',
  ])
    assert.ok(lines.includes(line), `${line} is not in\n${lines.join('\n')}`);
  const age = lines.find((line) => line.startsWith('aadpodidentity_sidecar_broker_contact_age_seconds '));
  assert.equal(Math.floor(Number(age?.split(' ')[1])), 7);
  for (const line of lines) assert.match(line, /^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})? [\d.]+|)$/);
  await world.proxy.close();
});

it('has health and metrics only: no token, no nonce, no other method', async () => {
  const world = await startWorld();
  const status = (url: string, method?: string) => answerMonitoring(get(url, method), world.proxy.metrics).status;
  assert.equal(await answerMonitoring(get('/healthz'), world.proxy.metrics).text(), 'ok\n');
  for (const url of ['/', '/nonce', '/metadata/identity/oauth2/token?resource=r', '/msi/token?resource=r', '/metrics/'])
    assert.equal(status(url), 404, url);
  assert.equal(status('/metrics', 'POST'), 405);
  assert.equal(world.asked.imds.length, 0);
  await world.proxy.close();
});
