import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { annotations } from '../../../api/names.ts';
import { assignmentOf } from '../../../lib/identities/assignment.ts';
import { bindingOf } from '../../../lib/identities/binding.ts';
import { identityOf } from '../../../lib/identities/identity.ts';
import { podOf } from '../../../lib/identities/pod.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import { checkAssigned } from './assigned.ts';

const now = new Date('2026-01-01T12:00:00Z');
const secondsAgo = (seconds: number) => new Date(now.getTime() - seconds * 1000).toISOString();

interface Case {
  /** Of pod, binding, identity and assignment, in seconds. */
  age: number;
  node?: string;
  /** Undefined: there is no AzureAssignedIdentity. */
  status?: string;
  reason?: string;
}

/** Status and code of what is found for a pod with one identity. */
function found({ age, node = 'node-0', status, reason }: Case): string {
  const metadata = { name: 'web', namespace: 'team', creationTimestamp: secondsAgo(age) };
  const raw = { metadata: { ...metadata, uid: 'u', labels: { aadpodidbinding: 'web' } }, spec: { nodeName: node } };
  const [pod, binding, identity] = [
    podOf(raw),
    bindingOf({ metadata, spec: { azureIdentity: 'web', selector: 'web' } }),
    identityOf({ metadata }),
  ];
  assert.ok(pod && binding && identity);
  const assignment = assignmentOf({
    metadata: { ...metadata, ...(reason === undefined ? {} : { annotations: { [annotations.reason]: reason } }) },
    spec: { pod: 'web', podNamespace: 'team', azureIdentityRef: { metadata } },
    status: { status },
  });
  const assignments = { value: status === undefined ? [] : [assignment] };
  const facts = { pod: { value: raw }, assignments, installation: { release: undefined } } as unknown as PodFacts;
  return checkAssigned(facts, pod, [{ identity, binding }], now)
    .map((finding) => ('code' in finding ? `${finding.status} ${finding.code}` : finding.status))
    .join();
}

describe('checkAssigned', () => {
  const cases: [Case, string][] = [
    [{ age: 600, status: 'Assigned' }, 'passed'],
    [{ age: 5, node: '' }, 'skipped'],
    [{ age: 5 }, 'waiting AssignmentMissing'],
    [{ age: 600 }, 'broken AssignmentMissing'],
    [{ age: 5, status: 'Created' }, 'waiting AssignmentPending'],
    [{ age: 600, status: 'Created' }, 'broken AssignmentPending'],
    [{ age: 5, status: 'Created', reason: 'Attaching' }, 'waiting Attaching'],
    [{ age: 5, status: 'Created', reason: 'Federating' }, 'waiting Federating'],
    [{ age: 600, status: 'Created', reason: 'Attaching' }, 'broken Attaching'],
    [{ age: 5, status: 'Created', reason: 'Throttled' }, 'broken Throttled'],
    [{ age: 5, status: 'Created', reason: 'WaitingForNode' }, 'broken WaitingForNode'],
    [{ age: 600, status: 'Assigned', reason: 'ImdsRestricted' }, 'broken ImdsRestricted'],
  ];
  for (const [given, expected] of cases) it(`is ${expected} for ${JSON.stringify(given)}`, () => assert.equal(found(given), expected));
});
