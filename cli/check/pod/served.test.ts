import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { IdentityRow } from '../../../api/broker.ts';
import type { SidecarStatus } from '../../../api/sidecar-status.ts';
import type { Pod } from '../../../lib/identities/pod.ts';
import type { Release } from '../../cluster/installation.ts';
import type { PodFacts } from '../../cluster/pod-facts.ts';
import type { Finding } from '../../finding.ts';
import { checkServed } from './served.ts';

const row: IdentityRow = {
  name: 'demo',
  namespace: 'team',
  binding: 'team/demo',
  type: 0,
  source: 'imds',
  clientID: 'c',
  resourceID: '/r',
  state: 'Assigned',
};
const healthy: SidecarStatus = {
  version: '0.2.0',
  broker: { address: '10.0.0.1:9443', answeredSecondsAgo: 3 },
  excepted: false,
  defaultIdentity: 'team/demo',
  identities: [row],
  cachedTokens: 1,
};
const endpoint = { conditions: { ready: true }, addresses: ['10.1.0.1'] };

const now = new Date('2026-01-01T12:00:00Z');
const pod = { key: 'team/web', namespace: 'team', name: 'web', labels: {}, uid: 'u' } as unknown as Pod;
const minutesAgo = (minutes: number) => new Date(now.getTime() - minutes * 60_000).toISOString();

/** The codes for what a proxy knows, the status where there is none. A pod of an hour, unless said otherwise. */
function codesFor(changes: Partial<SidecarStatus>, brokers: unknown[] = [endpoint], clusterIP = '10.0.0.1'): string[] {
  return findingsFor({ status: { ...healthy, ...changes } }, { brokers, clusterIP }).map(codeOf);
}

const codeOf = (finding: Finding): string => ('code' in finding ? finding.code : finding.status);

interface Surroundings {
  brokers?: unknown[];
  clusterIP?: string;
  podCreated?: string;
}

function findingsFor(
  sidecar: PodFacts['sidecar'],
  { brokers = [endpoint], clusterIP = '10.0.0.1', podCreated = minutesAgo(60) }: Surroundings = {},
): Finding[] {
  const release = {
    namespace: 'system',
    brokerEndpoints: { value: [{ endpoints: brokers }] },
    brokerService: { value: { spec: { clusterIP } } },
  } as unknown as Release;
  const facts = {
    namespace: 'team',
    name: 'web',
    pod: { value: { metadata: { creationTimestamp: podCreated } } },
    sidecar,
    assignments: { value: [] },
    exceptions: { value: [{ key: 'team/wide', namespace: 'team', name: 'wide', podLabels: {} }] },
    installation: { release },
  };
  return checkServed(facts as unknown as PodFacts, pod, now);
}

const lost = (error: string) => ({ broker: { address: '10.0.0.1:9443', answeredSecondsAgo: 300, error } });

describe('what the token proxy knows', () => {
  it('is well where the broker answers and an identity is assigned', () => assert.deepEqual(codesFor({}), ['passed', 'passed']));

  it('is BrokerDown where no replica is ready', () => assert.deepEqual(codesFor(lost('connection refused'), []), ['BrokerDown']));

  it('is BrokerBlocked where replicas are ready and nothing answers', () =>
    assert.deepEqual(codesFor(lost('10.0.0.1:9443: no answer in time. Does a network policy deny it?')), ['BrokerBlocked']));

  it('is BrokerMoved where the pod has the address of a former Service', () =>
    assert.deepEqual(codesFor(lost('no answer in time'), [endpoint], '10.0.0.2'), ['BrokerMoved']));

  it('is BrokerUnreachable where the broker refuses', () =>
    assert.deepEqual(codesFor(lost('certificate has expired')), ['BrokerUnreachable']));

  it('is IdentityRevoked where the broker says so', () =>
    assert.deepEqual(codesFor({ revoked: { code: 'pod_gone', message: 'gone' } }), ['passed', 'IdentityRevoked']));

  it('is Excepted where requests pass the proxy by', () => assert.deepEqual(codesFor({ excepted: true }), ['passed', 'Excepted']));

  it('is AssignmentPending for a row that waits, beside one that serves', () =>
    assert.deepEqual(codesFor({ identities: [row, { ...row, name: 'other', state: 'Created' }] }), [
      'passed',
      'passed',
      'AssignmentPending',
    ]));

  it('waits for a row of a young pod, and not for one that failed', () => {
    const rows = (state: IdentityRow['state'], podCreated: string) =>
      findingsFor({ status: { ...healthy, identities: [{ ...row, state }] } }, { podCreated }).map(({ status }) => status);
    assert.deepEqual(rows('Created', minutesAgo(1)), ['passed', 'waiting']);
    assert.deepEqual(rows('Created', minutesAgo(3)), ['passed', 'broken']);
    assert.deepEqual(rows('Failed', minutesAgo(1)), ['passed', 'broken']);
  });

  it('is Starting until the token proxy has called the broker once', () =>
    assert.deepEqual(
      findingsFor({ status: { ...healthy, broker: { address: '10.0.0.1:9443' } } }).map((finding) => [finding.status, codeOf(finding)]),
      [['waiting', 'Starting']],
    ));

  it('is BrokerDown where the proxy cannot be asked and no replica is ready', () => {
    const denied = { failure: 'forbidden' };
    assert.deepEqual(findingsFor(denied).map(codeOf), ['SidecarUnreachable']);
    assert.deepEqual(findingsFor(denied, { brokers: [] }).map(codeOf), ['SidecarUnreachable', 'BrokerDown']);
  });
});
