import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { proxyId, sidecarCommand } from '../../api/names.ts';

const dockerfile = readFileSync(path.resolve(import.meta.dirname, '../../Dockerfile'), 'utf8');

test('starts the sidecar image as injected pods do', () => {
  const sidecar = dockerfile.slice(dockerfile.indexOf('AS sidecar'));
  assert.deepEqual(JSON.parse(sidecar.match(/^ENTRYPOINT (.*)$/m)?.[1] ?? ''), sidecarCommand);
  assert.match(sidecar, new RegExp(`^USER ${proxyId}:${proxyId}$`, 'm'));
  assert.match(sidecar, /^ENV BUN_JSC_useJIT=0/m);
});
