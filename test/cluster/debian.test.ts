import assert from 'node:assert/strict';
import { test } from 'node:test';
import { environmentIn, packagesToAdd } from './debian.ts';

test('adds only packages that are missing, without upgrades of others', () => {
  const simulation = [
    'NOTE: This is only a simulation!',
    'Inst passwd [1:4.13-1] (1:4.13-2 Debian:12.15/oldstable [amd64])',
    'Inst runc (1.1.5+ds1-1 Debian:12.15/oldstable [amd64])',
    'Inst libsubid4 (1:4.13-2 Debian:12.15/oldstable [amd64]) []',
    'Conf runc (1.1.5+ds1-1 Debian:12.15/oldstable [amd64])',
  ].join('\n');
  assert.deepEqual(packagesToAdd(simulation), ['runc', 'libsubid4']);
});

test('puts unpacked programs before those of the machine', () => {
  const env = environmentIn('/cache', 'arm64', '/usr/bin');
  assert.equal(env.PATH, '/cache/usr/sbin:/cache/usr/bin:/cache/sbin:/cache/bin:/usr/bin');
  assert.equal(env.LD_LIBRARY_PATH, '/cache/usr/lib/aarch64-linux-gnu:/cache/lib/aarch64-linux-gnu');
});
