import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { proxyId, sidecarCommand } from '../../api/names.ts';
import { imageNames, licensesFile } from '../../tools/build.ts';

const dockerfile = readFileSync(path.resolve(import.meta.dirname, '../../Dockerfile'), 'utf8');

test('starts the sidecar image as injected pods do', () => {
  const sidecar = dockerfile.slice(dockerfile.indexOf('AS sidecar'));
  assert.deepEqual(JSON.parse(sidecar.match(/^ENTRYPOINT (.*)$/m)?.[1] ?? ''), sidecarCommand);
  assert.match(sidecar, new RegExp(`^USER ${proxyId}:${proxyId}$`, 'm'));
  assert.match(sidecar, /^ENV BUN_JSC_useJIT=0/m);
});

test('keeps from the build what no image copies, and nothing that one does', () => {
  const kept = readFileSync(path.resolve(import.meta.dirname, '../../.dockerignore'), 'utf8').split('\n');
  const copied = [...dockerfile.matchAll(/^COPY (?!--from)(.*) \S+$/gm)].flatMap(([, files = '']) => files.split(' '));
  const isKept = (file: string) => kept.some((line) => line.startsWith('!') && path.matchesGlob(file, line.slice(1)));
  for (const file of copied.filter((one) => one !== 'node_modules')) assert.ok(isKept(file), file);
  for (const file of ['package.json', 'dist/other.txt', '.git/config']) assert.ok(!isKept(file), file);
  for (const image of imageNames) assert.ok(copied.includes(`dist/${licensesFile(image)}`), image);
});
