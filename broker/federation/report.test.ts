import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { assignment, binding, identity, pod } from '../../lib/identities/testing/fixtures.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { silentLogger } from '../../lib/log.ts';
import { createUnknownReporter } from './report.ts';

test('writes to the object of the pod, once in 30 s for an identity', async () => {
  const clock = createFakeClock();
  const sent: unknown[] = [];
  const client: KubeClient = {
    call: async (method, path, options) => void sent.push([method, path, options?.body]),
    watch: () => assert.fail('no watch'),
    close: async () => undefined,
  };
  const made = assignment(pod(), identity('app/i'), binding('app/b', 'i'));
  const written = { ...made.metadata, annotations: { 'aadpodidentity.k8s.io/scope': '/identity' } };
  const informers = {
    assignmentOf: (podKey: string) => (podKey === 'app/old' ? made : podKey === 'app/web' ? { ...made, metadata: written } : undefined),
  };
  const report = createUnknownReporter({ client, log: silentLogger, informers, clock });
  report('app/gone', 'app/i');
  report('app/old', 'app/i');
  assert.deepEqual(sent, [], 'an object of a MIC, and none');
  for (let n = 0; n < 3; n += 1) report('app/web', 'app/i');
  const path = `/apis/aadpodidentity.k8s.io/v1/namespaces/${made.namespace}/azureassignedidentities/${made.name}`;
  const annotations = { 'aadpodidentity.k8s.io/reported-at': new Date(clock.wall()).toISOString() };
  assert.deepEqual(sent, [['PATCH', path, { metadata: { uid: 'a1', annotations } }]]);
  await clock.advance(30_000);
  report('app/web', 'app/i');
  assert.equal(sent.length, 2);
});
