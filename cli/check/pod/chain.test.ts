import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { annotations, bindingLabel, proxyContainerName, testPodName } from '../../../api/names.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import { checkPod } from './chain.ts';

const absent = { why: 'absent' } as const;

/** Statuses and codes for an injected pod that has ended, with no binding in the cluster. */
function findingsFor(name: string): string[] {
  const containers = [proxyContainerName, 'app'].map((container) => ({ name: container }));
  const metadata = { name, namespace: 'system', uid: name, labels: { [bindingLabel]: name }, annotations: { [annotations.status]: '{}' } };
  const facts: PodFacts = {
    namespace: 'system',
    name,
    pod: { value: { metadata, spec: { containers }, status: { phase: 'Succeeded' } } },
    namespaceObject: absent,
    bindings: { value: [] },
    identities: { value: [] },
    exceptions: { value: [] },
    assignments: { value: [] },
    events: [],
    owners: [],
    installation: { webhookConfiguration: absent, release: undefined, upstreamPods: { value: [] } },
    sidecar: undefined,
    trial: undefined,
  };
  return checkPod(facts, new Date(0)).flatMap(({ findings }) => findings.map((found) => ('code' in found ? found.code : found.status)));
}

describe('checkPod', () => {
  it('finds nothing wrong with the pod that helm test leaves', () =>
    assert.deepEqual(findingsFor(testPodName), ['passed', 'passed', 'passed', 'skipped', 'skipped']));

  it('finds the missing binding of a pod that has ended', () =>
    assert.deepEqual(findingsFor('job'), ['passed', 'passed', 'passed', 'BindingMissing']));
});
