import assert from 'node:assert/strict';
import { test } from 'node:test';
import { clientHelloState } from './client-hello.ts';

const record = (length: number) => Buffer.from([22, 3, 1, length >> 8, length & 0xff]);

test('knows when a ClientHello is complete', () => {
  const whole = Buffer.concat([record(300), Buffer.alloc(300)]);
  for (const length of [0, 1, 4, 5, 304]) assert.equal(clientHelloState(whole.subarray(0, length)), 'partial', `${length}`);
  assert.equal(clientHelloState(whole), 'complete');
  assert.equal(clientHelloState(Buffer.concat([whole, whole])), 'complete');
});

test('refuses what is no TLS, and a ClientHello above 8 KiB', () => {
  assert.equal(clientHelloState(Buffer.from('GET / HTTP/1.1\r\n')), 'invalid');
  assert.equal(clientHelloState(record(8 * 1024)), 'invalid');
  assert.equal(clientHelloState(Buffer.concat([record(10), Buffer.alloc(8 * 1024)])), 'invalid');
});
