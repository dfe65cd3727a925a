import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parsePod } from '../../lib/identities/decision/pod-view.ts';
import { rawContainer, rawPod } from '../../lib/identities/decision/testing/raw-pods.ts';
import { compose, strip } from './compose.ts';

const status = { 'aadpodidentity.k8s.io/status': '{"templateHash":"x","containers":[]}' };
const proxy = rawContainer('aad-pod-identity-proxy');
const bare = { metadata: { labels: { aadpodidbinding: 'reader' } }, spec: { containers: [rawContainer('app')] } };

test('strip returns a pod without a status annotation as it is', () => {
  const raw = rawPod({ spec: { initContainers: [proxy] } });
  assert.equal(strip(parsePod(raw)), raw);
});

test('strip removes lists and annotations that held nothing but injected items', () => {
  const injected = {
    metadata: { ...bare.metadata, annotations: status },
    spec: { ...bare.spec, initContainers: [proxy], volumes: [{ name: 'aad-pod-identity-token' }] },
  };
  assert.deepEqual(strip(parsePod(injected)), bare);
});

test('strip removes an invalid status annotation and leaves the containers', () => {
  const raw = rawPod({ annotations: { own: '1', 'aadpodidentity.k8s.io/status': 'mine' }, spec: { initContainers: [proxy] } });
  assert.deepEqual(strip(parsePod(raw)), rawPod({ annotations: { own: '1' }, spec: { initContainers: [proxy] } }));
});

test('compose keeps members that were sent empty', () => {
  const raw = { metadata: { annotations: null }, spec: { containers: [], initContainers: null, volumes: [] } };
  assert.deepEqual(compose(raw, { labels: {}, annotations: {}, containers: [], initContainers: [], volumes: [] }), raw);
});
