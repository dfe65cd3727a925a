// docs/troubleshooting.md has a paragraph for each code of the kubectl plugin, and none for a code that is gone.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { reasonAdvice } from '../cli/check/reason-advice.ts';
import { ownCodes } from '../cli/codes.ts';

const page = readFileSync(path.resolve(import.meta.dirname, '../docs/troubleshooting.md'), 'utf8');

describe('docs/troubleshooting.md', () => {
  it('has one heading for each code', () => {
    const headings = [...page.matchAll(/^### (\w+)$/gm)].map(([, code]) => code ?? '');
    assert.deepEqual(headings.toSorted(), [...new Set([...ownCodes, ...Object.keys(reasonAdvice)])].toSorted());
  });

  it('has a text below each heading', () => assert.doesNotMatch(page, /^### .*\n+(?=#)/m));
});
