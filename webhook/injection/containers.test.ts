import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { template } from '../testing/fixtures.ts';
import { emptyVolume, escapeArgument, initContainer, proxyContainer, tokenVolume } from './containers.ts';

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

test('asks for a format of the log only where it is not the default of the sidecar', () => {
  const argumentsFor = (logFormat: 'json' | 'text') => {
    const containers = [
      initContainer({ ...template, logFormat }, {}, { denyImds: false }),
      proxyContainer({ ...template, logFormat }, { interception: 'redirect', logLevel: 'info', metricsPort: 0 }, {}),
    ];
    return containers.map(({ args }) => JSON.stringify(args).includes('"--log-format=text"'));
  };
  assert.deepEqual(
    [argumentsFor('json'), argumentsFor('text')],
    [
      [false, false],
      [true, true],
    ],
  );
});
