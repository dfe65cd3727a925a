// What the client does to a scale set or VM, as Azure sees it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { splitIntoPatches } from '../../../controller/azure/arm/identity-map.ts';
import { alone, clientIds, flexVm, pool1 } from '../azure/fixtures.ts';
import { attach, connected, detach, failureOf, identity, quickAzure, requests, scopeOf } from './harness.ts';

const pool = scopeOf(pool1.toUpperCase());

const attached = (state: { identities: ReadonlyMap<string, unknown> }) => [...state.identities.keys()].sort();

describe('a write', () => {
  test('attaches an identity beside another and detaches both', async (t) => {
    const { compute } = await connected(t);
    const before = await compute.read(pool);
    assert.deepEqual([before.type, attached(before)], ['UserAssigned', [identity('reader')]]);
    await compute.write(pool, attach('writer'), before);
    const between = await compute.read(pool);
    assert.deepEqual(attached(between), [identity('reader'), identity('writer')]);
    assert.equal(between.identities.get(identity('writer'))?.clientId, clientIds.writer);
    await compute.write(pool, detach('writer', 'reader'), between);
    const after = await compute.read(pool);
    assert.deepEqual([after.type, attached(after)], ['None', []]);
  });

  test('keeps the system-assigned identity of a VM', async (t) => {
    const { compute } = await connected(t);
    const vm = scopeOf(alone);
    await compute.write(vm, attach('writer'), await compute.read(vm));
    assert.equal((await compute.read(vm)).type, 'SystemAssigned, UserAssigned');
    await compute.write(vm, detach('writer'), await compute.read(vm));
    assert.equal((await compute.read(vm)).type, 'SystemAssigned');
  });

  test('reaches a VM of a Flexible set', async (t) => {
    const { compute } = await connected(t);
    const vm = scopeOf(flexVm);
    await compute.write(vm, attach('writer'), await compute.read(vm));
    assert.deepEqual(attached(await compute.read(vm)), [identity('writer')]);
  });

  test('sends only the difference', async (t) => {
    const { compute, emulator } = await connected(t);
    await compute.write(pool, attach('writer'), await compute.read(pool));
    const [patch] = requests(emulator, 'PATCH');
    assert.deepEqual(typeof patch?.body === 'string' ? JSON.parse(patch.body) : patch?.body, {
      identity: { type: 'UserAssigned', userAssignedIdentities: { [identity('writer')]: {} } },
    });
  });

  test('attaches a recreated identity of ours again, and leaves a foreign one', async (t) => {
    const { compute, emulator } = await connected(t);
    await emulator.act({ do: 'recreate-identity', identity: identity('reader') });
    let state = await compute.read(pool);
    assert.equal(state.identities.get(identity('reader')), null);
    const wanted = { add: [identity('reader')], remove: [] };
    assert.deepEqual(splitIntoPatches(state, { ...wanted, owned: new Set() }), []);
    for (const write of splitIntoPatches(state, { ...wanted, owned: new Set([identity('reader')]) })) {
      await compute.write(pool, write, state);
      state = await compute.read(pool);
    }
    assert.notEqual(state.identities.get(identity('reader')), null);
  });
});

describe('a race with another writer', () => {
  test('loses by the etag, and keeps what the other writer did', async (t) => {
    const { compute, emulator } = await connected(t);
    const old = await compute.read(pool);
    await emulator.act({ do: 'bump-etag', resource: pool.id });
    assert.equal((await failureOf(compute.write(pool, attach('writer'), old))).code, 'preconditionFailed');
    assert.deepEqual(attached(await compute.read(pool)), [identity('reader')]);
  });

  test('reads an old state again without etags, so that None detaches nothing new', async (t) => {
    const { compute } = await connected(t, quickAzure({ etags: false }));
    const old = { ...(await compute.read(pool)), readAt: Date.now() - 2001 };
    assert.equal(old.etag, undefined);
    await compute.write(pool, attach('writer'), old);
    await compute.write(pool, detach('reader'), old);
    assert.deepEqual(attached(await compute.read(pool)), [identity('writer')]);
  });
});

describe('an operation', () => {
  for (const lro of ['202+async+location', '202+async', '200+async', '202+location', '200'])
    test(`is complete when the write returns, accepted as ${lro}`, async (t) => {
      const { compute, emulator } = await connected(t, quickAzure({ lro, identityVisible: 'completion' }));
      const urls: string[] = [];
      await compute.write(pool, attach('writer'), await compute.read(pool), { onOperation: (url) => void urls.push(url) });
      assert.deepEqual(attached(await compute.read(pool)), [identity('reader'), identity('writer')]);
      assert.equal(urls.length, lro === '200' ? 0 : 1);
      assert.equal(requests(emulator, 'PATCH').length, 1);
    });

  test('is awaited by the next controller after a stop', async (t) => {
    const { compute } = await connected(t, quickAzure({ identityVisible: 'completion', operationMs: 300 }));
    const stop = new AbortController();
    const reason = new Error('stopped');
    let url = '';
    const begun = compute.write(pool, attach('writer'), await compute.read(pool), {
      signal: stop.signal,
      onOperation: (operation) => {
        url = operation;
        stop.abort(reason);
      },
    });
    await assert.rejects(begun, (error) => error === reason);
    assert.deepEqual(attached(await compute.read(pool)), [identity('reader')]);
    await compute.resume(pool, url);
    assert.deepEqual(attached(await compute.read(pool)), [identity('reader'), identity('writer')]);
  });

  test('has an unknown outcome when its URL is not found', async (t) => {
    const { compute } = await connected(t);
    const gone = `/subscriptions/${pool.subscription}/providers/Microsoft.Compute/locations/westeurope/operations/gone?api-version=2026-04-01`;
    assert.equal((await failureOf(compute.resume(pool, gone))).code, 'operationLost');
  });
});
