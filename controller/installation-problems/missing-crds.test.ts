import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { azureAssignedIdentities, azureIdentities, azureIdentityBindings, azurePodIdentityExceptions } from '../../lib/kube/resources.ts';
import { silentLogger } from '../../lib/log.ts';
import { missingCrds } from './missing-crds.ts';
import { createReporter } from './report.ts';

function harness() {
  const served = new Set<Resource>([azureIdentities, azureIdentityBindings, azurePodIdentityExceptions]);
  const calls: string[] = [];
  const client: Pick<KubeClient, 'call'> = {
    async call(_method, path) {
      calls.push(path);
      if (path === '/apis') return { kind: 'APIGroupList', groups: [{ name: 'aadpodidentity.k8s.io', versions: [{ version: 'v1' }] }] };
      if (path.startsWith('/apis/')) return { kind: 'APIResourceList', resources: [...served].map(({ plural }) => ({ name: plural })) };
      return { metadata: { uid: 'service-uid' } };
    },
  };
  const of = (resource: Resource) => ({
    resource,
    get synced() {
      return served.has(resource);
    },
  });
  const { events, list } = fakeEvents();
  const problem = missingCrds({
    client: client as KubeClient,
    informers: {
      identities: of(azureIdentities),
      bindings: of(azureIdentityBindings),
      exceptions: of(azurePodIdentityExceptions),
      assignments: of(azureAssignedIdentities),
    },
  });
  const report = createReporter({ client, log: silentLogger, events, namespace: 'system', webhookService: 'webhook' }, problem);
  return { served, calls, list, report: () => report(new AbortController().signal) };
}

describe('missing CRDs', () => {
  it('records one Event on the Service each time that a CRD goes missing', async () => {
    const { served, list, report } = harness();
    await report();
    await report();
    assert.deepEqual(
      list.map(({ kind, name, type, reason }) => [kind, name, type, reason]),
      [['Service', 'webhook', 'Warning', 'CrdsMissing']],
    );
    assert.match(list[0]?.message ?? '', /no CRD azureassignedidentities\.aadpodidentity\.k8s\.io: .* kubectl apply/);
    served.add(azureAssignedIdentities);
    await report();
    served.delete(azureAssignedIdentities);
    await report();
    assert.equal(list.length, 2);
  });

  it('asks the API server nothing while all kinds are there', async () => {
    const { served, calls, list, report } = harness();
    served.add(azureAssignedIdentities);
    await report();
    assert.deepEqual([calls, list], [[], []]);
  });
});
