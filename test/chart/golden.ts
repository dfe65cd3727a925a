import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/** Compares with a file that a person has read; UPDATE_GOLDENS=1 writes it anew. */
export function golden(name: string, found: unknown): void {
  const file = path.join(import.meta.dirname, 'goldens', `${name}.json`);
  const plain: unknown = JSON.parse(JSON.stringify(found));
  if (process.env.UPDATE_GOLDENS === '1') writeFileSync(file, `${JSON.stringify(plain, undefined, 2)}\n`);
  assert.deepEqual(plain, JSON.parse(readFileSync(file, 'utf8')));
}
