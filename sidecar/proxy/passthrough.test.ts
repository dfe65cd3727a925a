// Requests that IMDS itself answers.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { row } from '../testing.ts';
import { bodyOf, json, startWorld } from './world.testing.ts';

describe('passing to IMDS', () => {
  it('rebuilds the token request of an excepted pod and keeps nothing', async () => {
    const world = await startWorld();
    await world.bind([row('a')], { excepted: true });
    world.answers.imds = () => json({ access_token: 'of-the-node' });
    for (let i = 0; i < 2; i += 1) {
      assert.equal((await bodyOf(await world.token('resource=r&mi_res_id=%2Fx&bypass_cache=true&evil=1'))).access_token, 'of-the-node');
    }
    assert.equal(world.asked.imds.length, 2);
    assert.equal(world.asked.imds[0]?.url.search, '?api-version=2018-02-01&resource=r&msi_res_id=%2Fx&bypass_cache=true');
    assert.equal((await world.token('resource=')).status, 400, 'the same validation');
    world.answers.imds = () => json({ error: 'invalid_request', error_description: 'Identity not found' }, 400);
    assert.equal((await world.token()).status, 400);
    assert.equal(world.asked.imds.length, 3);
    await world.proxy.close();
  });

  it('passes documents with their status and body, errors always as JSON', async () => {
    const world = await startWorld();
    world.answers.imds = () =>
      new Response('Standard_D2', { headers: { 'content-type': 'text/plain', 'x-evil': '1', connection: 'close' } });
    const leaf = await world.ask('/metadata/instance/compute/vmSize?api-version=2021-02-01&format=text');
    assert.equal(await leaf.text(), 'Standard_D2');
    assert.equal(leaf.headers.get('x-evil'), null);
    assert.equal(leaf.headers.get('content-type'), 'text/plain');
    world.answers.imds = () => json({ error: 'Bad request', 'newest-versions': ['1'] }, 400);
    assert.deepEqual(await bodyOf(await world.ask('/metadata/instance')), { error: 'Bad request', 'newest-versions': ['1'] });
    world.answers.imds = () => new Response('<html>', { status: 502, headers: { 'content-type': 'text/html' } });
    assert.equal((await world.ask('/metadata/versions')).status, 503);
    world.answers.imds = () => new Response(null, { status: 301, headers: { location: 'http://evil.example' } });
    const moved = await world.ask('/metadata/versions');
    assert.deepEqual([moved.status, moved.headers.get('location')], [503, null]);
    await world.proxy.close();
  });
});
