import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { escapeArgument } from './containers.ts';

test("escapes an argument so that kubelet's expansion returns it unchanged", () => {
  const expand = (text: string) =>
    text.replace(/\$(\$|\([A-Za-z_][A-Za-z0-9_]*\))?/g, (all, next: string | undefined) =>
      next === '$' ? '$' : next === undefined ? all : 'EXPANDED',
    );
  fc.assert(fc.property(fc.stringMatching(/^[$()A]{0,8}$/), (text) => assert.equal(expand(escapeArgument(text)), text)));
});
