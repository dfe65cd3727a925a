import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress } from './address.ts';

for (const [text, host, port] of [
  ['10.0.0.1:9443', '10.0.0.1', 9443],
  ['broker.identity.svc:0', 'broker.identity.svc', 0],
  ['[::1]:80', '::1', 80],
  ['[::ffff:10.0.0.1]:80', '::ffff:10.0.0.1', 80],
  [':8080', '', 8080],
] as const) {
  test(`reads the address ${text}`, () => assert.deepEqual(parseAddress(text), { host, port }));
}

for (const text of ['', '8080', 'host', 'host:', '10.0.0.1:99999', '10.0.0.1:8x', '::1:80', '[::1]', '[host]:80', 'a/b:1', 'a b:1'])
  test(`refuses the address '${text}'`, () => assert.equal(parseAddress(text), undefined));
