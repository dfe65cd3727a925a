import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { identify, isAlive, startTimeOf } from './procfs.ts';

test('finds the start time of a process whatever its name', () => {
  const rest = `S ${Array.from({ length: 18 }, (_, index) => index).join(' ')} 4711 rest`;
  assert.deepEqual(startTimeOf(`12 (plain) ${rest}`), { state: 'S', start: '4711' });
  assert.deepEqual(startTimeOf(`12 (a ) S 1 (b) ${rest}`), { state: 'S', start: '4711' });
  assert.equal(startTimeOf(''), undefined);
});

test('distinguishes a live process from one that ended and from a reused number', async () => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const identity = identify(child.pid ?? 0);
  assert.ok(isAlive(identity));
  if (process.platform === 'linux') assert.ok(!isAlive({ ...identity, start: '1' }));
  child.stdin.end();
  await once(child, 'exit');
  assert.ok(!isAlive(identity));
});
