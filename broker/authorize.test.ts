import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { createAuthorizer } from './authorize.ts';
import { fakeApiServer } from './testing/fake-api-server.ts';
import { fakeRows } from './testing/fake-rows.ts';

test('looks up a pod of one namespace within a flood of another', async () => {
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

test('keeps 8 requests of a pod waiting for its look-up, and refuses the others', async () => {
  const clock = createFakeClock();
  const api = fakeApiServer();
  const refusals: string[] = [];
  const authorize = createAuthorizer({ client: api.client, rows: fakeRows().rows, clock, onRefused: (limit) => refusals.push(limit) });
  const codes = await Promise.all(
    Array.from({ length: 100 }, () => authorize({ namespace: 'team', name: 'app', uid: 'uid' }).catch(({ code }) => String(code))),
  );
  assert.equal(codes.filter((code) => code === 'pod_gone').length, 8);
  assert.equal(codes.filter((code) => code === 'not_ready').length, 92);
  assert.equal(refusals.length, 92);
  assert.equal(api.count('pods'), 1);
});
