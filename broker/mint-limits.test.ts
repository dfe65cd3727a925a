import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../common/testing/fake-clock.ts';
import { limitMinting } from './mint-limits.ts';
import { row, token } from './testing/harness.ts';

/** `calls`: each mint needs a call to Entra, or finds its token in the cache. */
function limited({ calls }: { calls: boolean }) {
  const clock = createFakeClock();
  const minted: string[] = [];
  const refusals: string[] = [];
  const mint = limitMinting({
    clock,
    onRefused: (limit) => refusals.push(limit),
    async mintToken({ pod, admit }) {
      if (calls) await admit();
      minted.push(pod.namespace);
      return token;
    },
  });
  const ask = (namespace: string, name: string) => {
    const pod = { namespace, name, uid: `${namespace}-${name}` };
    const caller = { ...pod, serviceAccount: 'default' };
    return mint({ pod, caller, row, resource: 'r', capabilities: [], refresh: false }).catch(({ code }: { code: string }) => code);
  };
  return { clock, minted, refusals, ask };
}

test('lets namespaces take turns with calls to Entra and the API server', async () => {
  const { clock, minted, ask } = limited({ calls: true });
  const open = Array.from({ length: 210 }, (_, n) => ask('hostile', `app-${n % 7}`));
  await clock.advance(0);
  assert.equal(minted.length, 200);
  open.push(ask('honest', 'app'));
  await clock.advance(50);
  assert.deepEqual(minted.slice(200), ['hostile', 'honest']);
  await clock.advance(1_000);
  await Promise.all(open);
  assert.equal(minted.length, 211);
});

test('refuses the newest call of a namespace that has most of a full queue', async () => {
  const { clock, refusals, ask } = limited({ calls: true });
  const hostile = Array.from({ length: 1_200 }, (_, n) => ask('hostile', `app-${n}`));
  await clock.advance(0);
  assert.deepEqual(refusals, []);
  const honest = ask('honest', 'app');
  await clock.advance(0);
  assert.deepEqual(refusals, ['tokens']);
  await clock.advance(60_000);
  assert.deepEqual([typeof (await honest), (await Promise.all(hostile)).filter((answer) => answer === 'throttled').length], ['object', 1]);
});

test('gives tokens of the cache without a turn, 30 to a pod and then one in 2 s', async () => {
  const { clock, minted, ask } = limited({ calls: false });
  for (let pods = 0; pods < 20; pods += 1) for (let n = 0; n < 30; n += 1) await ask('team', `app-${pods}`);
  assert.equal(minted.length, 600);
  assert.equal(await ask('team', 'app-0'), 'throttled');
  assert.equal(typeof (await ask('team', 'app-20')), 'object');
  await clock.advance(2_000);
  assert.equal(typeof (await ask('team', 'app-0')), 'object');
});
