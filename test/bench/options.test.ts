import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillIn, parseOptions, UsageError } from './options.ts';

const benches = ['webhook', 'sidecar'];

test('runs the usual benches without a name, and the named ones with', () => {
  assert.deepEqual(parseOptions([], benches).names, benches);
  assert.deepEqual(parseOptions([], benches, ['webhook']).names, ['webhook']);
  assert.deepEqual(parseOptions(['sidecar'], benches).names, ['sidecar']);
});

test('reads the command of another program', () => {
  const { against } = parseOptions(['--against', 'proxy=other --listen={port}'], benches);
  assert.deepEqual(against, { proxy: 'other --listen={port}' });
});

test('reads where the other webhook answers reviews', () => {
  assert.equal(parseOptions([], benches).webhookPath, '/mutate');
  assert.equal(parseOptions(['--webhook-path=/mutate-v1-pod'], benches).webhookPath, '/mutate-v1-pod');
});

test('names what is wrong on the command line, and what is accepted', () => {
  assert.throws(
    () => parseOptions(['web'], benches),
    new UsageError('unknown bench web: accepted is webhook, sidecar, or nothing for the usual ones'),
  );
  for (const given of ['nmi=x', 'proxy', 'proxy='])
    assert.throws(
      () => parseOptions(['--against', given], benches),
      /--against .*: accepted is KIND=COMMAND, and a KIND is webhook, proxy, contr/,
    );
  assert.throws(() => parseOptions(['--fast'], benches), /--fast.*--help/);
});

test('fills the placeholders of a command in, and names those that are none', () => {
  assert.deepEqual(fillIn('other  --listen=127.0.0.1:{port} {imds}', { port: '1', imds: 'http://x' }), [
    'other',
    '--listen=127.0.0.1:1',
    'http://x',
  ]);
  assert.throws(() => fillIn('other {certs}', { port: '1' }), new UsageError('{certs} in --against: accepted is {port}'));
});
