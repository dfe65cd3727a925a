import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Exception } from '../../lib/identities/exceptions.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { KubeError } from '../../lib/kube/errors.ts';
import { silentLogger } from '../../lib/log.ts';
import { expectedObjects } from './expected-objects.ts';
import { createReporter } from './report.ts';

const { signal } = new AbortController();
const exception: Exception = { key: 'kube-system/addons', namespace: 'kube-system', name: 'addons', podLabels: {} };

function setUp() {
  const { events, list } = fakeEvents();
  const there = { exceptions: new Map([[exception.key, exception]]), roles: new Set(['x-view', 'x-edit']), status: 404 };
  const client: Pick<KubeClient, 'call'> = {
    async call(_method, path) {
      if (path === '/api/v1/namespaces/system/services/webhook') return { metadata: { uid: 'u' } };
      const role = /^\/apis\/rbac\.authorization\.k8s\.io\/v1\/clusterroles\/(.+)$/.exec(path)?.[1] ?? assert.fail(path);
      if (!there.roles.has(role)) throw new KubeError(there.status, '', 'no');
      return {};
    },
  };
  const problem = expectedObjects({
    client,
    exceptions: there.exceptions,
    namespace: 'system',
    expectedExceptions: [exception.key],
    expectedClusterRoles: ['x-view', 'x-edit'],
  });
  const report = createReporter({ client, log: silentLogger, events, namespace: 'system', webhookService: 'webhook' }, problem);
  return { there, list, report: () => report(signal) };
}

describe('expected objects', () => {
  it('are not told while they are there', async () => {
    const { report, list } = setUp();
    await report();
    assert.deepEqual(list, []);
  });

  it("are told once on the webhook's Service, with the command that makes them", async () => {
    const { there, report, list } = setUp();
    there.exceptions.clear();
    there.roles.clear();
    await report();
    await report();
    assert.deepEqual(list, [
      {
        kind: 'Service',
        name: 'webhook',
        type: 'Warning',
        reason: 'ObjectsMissing',
        message:
          'AzurePodIdentityException kube-system/addons and ClusterRole x-view, x-edit missing: deleted, or gone with a release of aad-pod-identity. To make it: helm upgrade RELEASE CHART -n system --reuse-values --set rbac.userFacingClusterRoles=create',
      },
    ]);
  });

  it('are told again when more are missing, and when they go a second time', async () => {
    const { there, report, list } = setUp();
    there.exceptions.clear();
    await report();
    assert.doesNotMatch(list[0]?.message ?? '', /ClusterRole/);
    there.roles.delete('x-edit');
    await report();
    assert.match(list[1]?.message ?? '', /ClusterRole x-edit missing/);
    there.roles.add('x-edit');
    there.exceptions.set(exception.key, exception);
    await report();
    there.exceptions.clear();
    await report();
    assert.equal(list.length, 3);
  });

  it('are not called missing by an answer that is none', async () => {
    const { there, report, list } = setUp();
    there.roles.clear();
    there.status = 500;
    await assert.rejects(report(), { status: 500 });
    assert.deepEqual(list, []);
  });
});
