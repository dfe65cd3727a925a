import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { cached, cacheKey, cacheRoot, prune } from './cache.ts';
import { withLock } from './lock.ts';
import { identify } from './procfs.ts';

const root = mkdtempSync(path.join(tmpdir(), 'cache-test-'));
after(() => rmSync(root, { recursive: true, force: true }));
const silent = () => {};

test('is in the folder that the variables name, in order', () => {
  assert.equal(cacheRoot({ AAD_POD_IDENTITY_CACHE: '/a', XDG_CACHE_HOME: '/b', HOME: '/c' }), '/a');
  assert.equal(cacheRoot({ XDG_CACHE_HOME: '/b', HOME: '/c' }), '/b/aad-pod-identity-webhook');
  assert.equal(cacheRoot({ AAD_POD_IDENTITY_CACHE: '', XDG_CACHE_HOME: '', HOME: '/c' }), '/c/.cache/aad-pod-identity-webhook');
});

test('has different keys for inputs whose concatenation is the same', () => {
  assert.equal(cacheKey(['a', 'b']), cacheKey(['a', 'b']));
  assert.notEqual(cacheKey(['ab', 'c']), cacheKey(['a', 'bc']));
  assert.notEqual(cacheKey(['a', 'b']), cacheKey(['b', 'a']));
});

test('makes a folder once for two callers at the same time', async () => {
  let made = 0;
  const make = async (folder: string) => {
    made += 1;
    writeFileSync(path.join(folder, 'a'), '1');
    await new Promise((resolve) => setImmediate(resolve));
    writeFileSync(path.join(folder, 'b'), '2');
  };
  const [one, two] = await Promise.all([cached('kind', 'key', silent, make, root), cached('kind', 'key', silent, make, root)]);
  assert.equal(one, two);
  assert.equal(made, 1);
  assert.deepEqual(readdirSync(one).sort(), ['a', 'b']);
  await cached('kind', 'key', silent, make, root);
  assert.equal(made, 1);
});

test('leaves nothing of a folder that failed, and makes it at the next call', async () => {
  const failing = async (folder: string) => {
    writeFileSync(path.join(folder, 'half'), '');
    throw new Error('no');
  };
  await assert.rejects(cached('broken', 'key', silent, failing, root), /no/);
  assert.deepEqual(readdirSync(path.join(root, 'broken')), []);
  assert.ok(existsSync(await cached('broken', 'key', silent, async () => {}, root)));
});

test('takes over the lock of a process that died', async () => {
  const dead = spawnSync(process.execPath, ['-e', '']);
  const file = path.join(root, 'dead.lock');
  writeFileSync(file, `${dead.pid} 1\n`);
  assert.equal(
    await withLock(
      file,
      async () => 'done',
      () => assert.fail('waited for a dead process'),
    ),
    'done',
  );
  assert.ok(!existsSync(file));
});

test('names the holder of a lock, and frees the lock after a failure', async () => {
  const file = path.join(root, 'held.lock');
  const { pid, start } = identify(process.pid);
  await assert.rejects(
    withLock(
      file,
      async () => {
        assert.equal(readFileSync(file, 'utf8'), `${pid} ${start}\n`);
        throw new Error('no');
      },
      silent,
    ),
    /no/,
  );
  assert.ok(!existsSync(file));
});

test('removes what nothing has used for an hour, but for the last three', async () => {
  const parent = path.join(root, 'pruned');
  const ages = { used: 9, a: 5, b: 4, c: 3, d: 2, e: 0 };
  for (const [name, hours] of Object.entries(ages)) {
    mkdirSync(path.join(parent, name), { recursive: true });
    const at = new Date(Date.now() - hours * 3_700_000);
    utimesSync(path.join(parent, name), at, at);
  }
  await cached('pruned', 'used', silent, async () => {}, root);
  prune('pruned', root);
  assert.deepEqual(readdirSync(parent).sort(), ['d', 'e', 'used']);
});
