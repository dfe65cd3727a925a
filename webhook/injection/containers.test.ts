import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { template } from '../testing/fixtures.ts';
import { emptyVolume, escapeArgument, tokenVolume } from './containers.ts';

test("escapes an argument so that kubelet's expansion returns it unchanged", () => {
  const expand = (text: string) =>
    text.replace(/\$(\$|\([A-Za-z_][A-Za-z0-9_]*\))?/g, (all, next: string | undefined) =>
      next === '$' ? '$' : next === undefined ? all : 'EXPANDED',
    );
  fc.assert(fc.property(fc.stringMatching(/^[$()A]{0,8}$/), (text) => assert.equal(expand(escapeArgument(text)), text)));
});

// https://github.com/kubernetes/autoscaler/issues/2048, https://github.com/istio/istio/issues/19395
test('adds no local storage, which hinders drains, but for the lock file', () => {
  for (const volume of [tokenVolume(), emptyVolume(template)]) assert.ok(!('emptyDir' in volume));
  // Newer autoscalers take a directory in memory for no local storage.
  assert.deepEqual(emptyVolume({ iptables: 'legacy' }).emptyDir, { medium: 'Memory', sizeLimit: '1Mi' });
});
