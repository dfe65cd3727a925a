import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { isOlder } from './crd-version.ts';

describe('isOlder', () => {
  for (const [version, than, expected] of [
    [undefined, '0.2.0', true],
    ['next', '0.2.0', true],
    ['0.1.9', '0.2.0', true],
    ['0.9.0', '0.10.0', true],
    ['0.2.0', '0.2.1', true],
    ['0.2.0', '0.2.0', false],
    ['0.2.1', '0.2.0', false],
    ['1.0.0', '0.9.9', false],
  ] as const)
    it(`is ${expected} for ${version} and ${than}`, () => assert.equal(isOlder(version, than), expected));
});
