import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deployment, pod, podTemplate, workload } from './testing/fixtures.ts';
import { describeWorkload, workloadsOf } from './workloads.ts';

const owned = (kind: string, name: string, labels: Record<string, string> = {}) => ({
  labels: { aadpodidbinding: 'web', ...labels },
  ownerReferences: [{ kind, name, controller: true }],
});
const found = (...objects: unknown[]) => workloadsOf(objects).labelled.map(describeWorkload);

describe('workloadsOf', () => {
  it('takes templates with the label, whatever the workload itself has', () =>
    assert.deepEqual(found(deployment('web', 'web'), workload('StatefulSet', 'plain', podTemplate(undefined))), ['Deployment team-a/web']));

  it('takes the template of a CronJob', () => {
    const cronJob = {
      kind: 'CronJob',
      metadata: { name: 'nightly', namespace: 'team-a' },
      spec: { jobTemplate: { spec: { template: podTemplate('web') } } },
    };
    const job = {
      ...workload('Job', 'nightly-1', podTemplate('web')),
      metadata: { name: 'nightly-1', namespace: 'team-a', ...owned('CronJob', 'nightly') },
    };
    assert.deepEqual(found(cronJob, job), ['CronJob team-a/nightly']);
  });

  it('leaves out pods that a workload made, by its ReplicaSet too', () => {
    const ofDeployment = pod('web-1-a', 'web', owned('ReplicaSet', 'web-1', { 'pod-template-hash': '1' }));
    assert.deepEqual(found(deployment('web', 'web'), ofDeployment), ['Deployment team-a/web']);
    assert.deepEqual(found(workload('StatefulSet', 'db', podTemplate('web')), pod('db-0', 'web', owned('StatefulSet', 'db'))), [
      'StatefulSet team-a/db',
    ]);
  });

  it('takes pods whose owner is not there', () =>
    assert.deepEqual(found(deployment('web', 'web'), pod('other-1-a', 'web', owned('Rollout', 'other'))), [
      'Deployment team-a/web',
      'Pod team-a/other-1-a',
    ]));

  it('leaves out pods that have ended', () => assert.deepEqual(found({ ...pod('done', 'web'), status: { phase: 'Succeeded' } }), []));
});
