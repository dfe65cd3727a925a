import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, test } from 'node:test';
import { linkImageStore } from './image-store.ts';

const root = mkdtempSync(path.join(tmpdir(), 'image-store-'));
after(() => rmSync(root, { recursive: true, force: true }));

test('shares the files of a store with a cluster, but not its databases', async () => {
  const [store, own] = [path.join(root, 'store'), path.join(root, 'own')];
  const files = ['content/blobs/sha256/aa', 'bolt/meta.db', 'snapshotter/metadata.db', 'snapshotter/snapshots/1/fs/x.db'];
  for (const file of files) {
    mkdirSync(path.dirname(path.join(store, file)), { recursive: true });
    writeFileSync(path.join(store, file), 'as imported');
  }
  await linkImageStore(store, own);
  const isShared = (file: string) => statSync(path.join(own, file)).ino === statSync(path.join(store, file)).ino;
  assert.deepEqual(files.map(isShared), [true, false, false, true]);
  writeFileSync(path.join(own, 'bolt/meta.db'), 'changed');
  assert.equal(readFileSync(path.join(store, 'bolt/meta.db'), 'utf8'), 'as imported');
});
