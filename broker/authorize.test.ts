import assert from 'node:assert/strict';
import { it } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { createAuthorizer } from './authorize.ts';
import { fakeApiServer } from './testing/fake-api-server.ts';
import { fakeRows } from './testing/fake-rows.ts';

it('looks up a pod of one namespace within a flood of another', async () => {
  const clock = createFakeClock();
  const api = fakeApiServer();
  const refusals: string[] = [];
  const authorize = createAuthorizer({ client: api.client, rows: fakeRows().rows, clock, onRefused: (limit) => refusals.push(limit) });
  const ended: string[] = [];
  const ask = (namespace: string, n: number) =>
    authorize({ namespace, name: 'app', uid: `${namespace}-${n}` }).catch(({ code }) => void ended.push(`${namespace} ${code}`));
  const flood = Array.from({ length: 400 }, (_, n) => ask('flood', n));
  await clock.advance(0);
  assert.equal(api.count('pods'), 40);
  assert.equal(ended.filter((each) => each === 'flood not_ready').length, 160);
  assert.deepEqual(new Set(refusals), new Set(['lookups']));
  void ask('honest', 1);
  await clock.advance(100);
  assert.ok(ended.includes('honest pod_gone'), 'its turn comes after one of the flood');
  await clock.advance(11_000);
  await Promise.all(flood);
  assert.equal(api.count('pods'), 240, 'the honest pod displaced one of the flood');
});
