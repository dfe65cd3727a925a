import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { mic, nmi } from './testing/fixtures.ts';
import { programOf, settingsOf } from './upstream.ts';

const settings = (...objects: unknown[]) => settingsOf(objects.flatMap((object) => programOf(object) ?? []));
const values = (...objects: unknown[]) => Object.fromEntries(settings(...objects).values);

describe('settingsOf', () => {
  it('names the chart value of each flag of MIC, with its type', () => {
    const args = [
      '--cloudconfig=/etc/kubernetes/azure.json',
      '-immutable-user-msis',
      '11111111-0000-4000-8000-000000000001,22222222-0000-4000-8000-000000000001',
      '--identity-assignment-reconcile-interval=1m30s',
      '--createDeleteBatch=50',
      '--leader-election-duration=30s',
      '--forceNamespaced',
      '--custom-user-agent=fleet 7',
      '-v=6',
      '--prometheus-port=8888',
    ];
    assert.deepEqual(values(mic({ args })), {
      'controller.cloudConfig': '/etc/kubernetes/azure.json',
      'controller.immutableUserMsis': ['11111111-0000-4000-8000-000000000001', '22222222-0000-4000-8000-000000000001'],
      'controller.identityAssignmentReconcileInterval': 90,
      'controller.createDeleteBatch': 50,
      'controller.leaseDuration': 30,
      'controller.leaseRenew': 15,
      'controller.leaseRetry': 7,
      forceNamespaced: true,
      customUserAgent: 'fleet 7',
      'controller.logLevel': 'debug',
    });
  });

  it('reads variables of MIC that stand in the manifest, and no other', () => {
    const env = [
      { name: 'FORCENAMESPACED', value: 'true' },
      { name: 'CLOUD', value: 'AzureChinaCloud' },
      { name: 'AZURE_ENVIRONMENT_FILEPATH', value: '/etc/kubernetes/akscustom.json' },
      { name: 'USE_MSI', value: 'True' },
      { name: 'CLIENT_SECRET', value: 'secret' },
      { name: 'TENANT_ID', valueFrom: { secretKeyRef: { name: 'admin', key: 'TenantID' } } },
    ];
    assert.deepEqual(values(mic({ env })), {
      forceNamespaced: true,
      'adminsecret.cloud': 'AzureChinaCloud',
      'controller.azureEnvironmentFilepath': '/etc/kubernetes/akscustom.json',
      'adminsecret.useMSI': true,
    });
  });

  it('names the chart value of each flag of NMI that is not the default', () => {
    const args = [
      '--node=$(NODE_NAME)',
      '--block-instance-metadata=T',
      '--operation-mode=Managed',
      '--http-probe-port=8085',
      '--forceNamespaced=false',
    ];
    assert.deepEqual(values(nmi({ args })), { 'sidecar.blockInstanceMetadata': true, operationMode: 'managed' });
    assert.equal(settings(nmi({ args })).managed, true);
  });

  it('says why a flag has no effect', () => {
    const { withoutEffect, notUnderstood } = settings(
      mic({ args: ['--syncRetryDuration=1h'] }),
      nmi({ args: ['--set-retry-after-header', '--MICNamespace=x'] }),
    );
    assert.deepEqual(notUnderstood, []);
    assert.deepEqual(
      withoutEffect.map((line) => line.split(' ')[0]),
      ['--syncRetryDuration', '--set-retry-after-header', '--MICNamespace'],
    );
  });

  it('prefers what MIC says', () =>
    assert.equal(values(mic({ args: ['--custom-user-agent=mic'] }), nmi({ args: ['--custom-user-agent=nmi'] })).customUserAgent, 'mic'));
});

describe('programOf', () => {
  it('knows the programs of the static manifests by their labels', () => {
    const object = (component: string) => ({
      kind: 'DaemonSet',
      metadata: { name: 'nmi', namespace: 'default' },
      spec: {
        template: {
          metadata: { labels: { component, tier: 'node' } },
          spec: { containers: [{ name: 'nmi', command: ['/bin/nmi', '--v=1'] }] },
        },
      },
    });
    assert.deepEqual(programOf(object('nmi'))?.flags, [{ name: 'v', value: '1', words: ['--v=1'] }]);
    assert.equal(programOf(object('agent')), undefined);
  });

  it('knows the release by the annotation of Helm, and in a rendering by the label', () => {
    assert.deepEqual(programOf(mic())?.release, { name: 'aad-pod-identity', namespace: 'kube-system' });
    const labels = { 'app.kubernetes.io/managed-by': 'Helm', 'app.kubernetes.io/instance': 'pi' };
    assert.deepEqual(programOf(mic({ release: false, labels }))?.release, { name: 'pi', namespace: 'kube-system' });
    assert.equal(programOf(mic({ release: false }))?.release, undefined);
  });
});
