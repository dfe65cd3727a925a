import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { podOf } from '../pod.ts';
import { parsePod } from './pod-view.ts';
import type { SkipFacts } from './skip.ts';
import { skipReason } from './skip.ts';
import { rawPod } from './testing/raw-pods.ts';

const plain: SkipFacts = { selector: 'reader', mirror: false, optedOut: false, windows: false, hostNetwork: false };

test('gives no reason to skip a plain pod', () => {
  assert.equal(skipReason(plain, false), undefined);
});

test('gives the first of several reasons to skip a pod', () => {
  const rising: [Partial<SkipFacts>, excepted: boolean, reason: string][] = [
    [{ hostNetwork: true }, false, 'host_network'],
    [{ windows: true }, false, 'windows'],
    [{}, true, 'excepted'],
    [{ optedOut: true }, true, 'opted_out'],
    [{ selector: '' }, true, 'no_selector'],
    [{ mirror: true }, true, 'mirror_pod'],
  ];
  let facts = plain;
  for (const [more, excepted, reason] of rising) {
    facts = { ...facts, ...more };
    assert.equal(skipReason(facts, excepted), reason);
  }
});

test('reads the same facts from a submitted pod and from a cached one', () => {
  const annotationSets = fc.constantFrom(
    {},
    { 'kubernetes.io/config.mirror': '' },
    { 'aadpodidentity.k8s.io/inject': 'false' },
    { 'aadpodidentity.k8s.io/inject': 'true', 'aadpodidentity.k8s.io/status': '{"templateHash":"x","containers":[]}' },
  );
  const specs = fc.record(
    {
      hostNetwork: fc.constantFrom(true, false, null),
      os: fc.constantFrom({ name: 'windows' }, { name: 'linux' }, null),
      securityContext: fc.constantFrom({ windowsOptions: { hostProcess: true } }, {}),
      nodeSelector: fc.constantFrom({ 'kubernetes.io/os': 'windows' }, { 'beta.kubernetes.io/os': 'windows' }, {}),
    },
    { requiredKeys: [] },
  );
  const factsOf = ({ selector, mirror, optedOut, windows, hostNetwork }: SkipFacts): SkipFacts => ({
    selector,
    mirror,
    optedOut,
    windows,
    hostNetwork,
  });
  fc.assert(
    fc.property(fc.constantFrom('', 'reader'), annotationSets, specs, (selector, annotations, spec) => {
      const raw = rawPod({ metadata: { uid: 'u' }, labels: { aadpodidbinding: selector }, annotations, spec });
      const cached = podOf(raw);
      assert.ok(cached);
      assert.deepEqual(factsOf(parsePod(raw)), factsOf(cached));
    }),
  );
});
