// The Job that runs before `helm uninstall`.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { leaderLeaseName, testPodName, uninstallRequestName, webhookConfigurationName } from '../../api/names.ts';
import { programs } from '../../controller/uninstall/cluster.ts';
import { settings } from '../../controller/uninstall/settings.ts';
import { at } from '../../lib/kube/objects.ts';
import { parseSettings } from '../../lib/settings.ts';
import type { KubeObject } from './render.ts';
import { find, render, template } from './render.ts';

const name = 'aad-pod-identity-uninstall';

interface PodSpec {
  containers: { command: string[]; env: { name: string; value?: string }[]; securityContext: object }[];
  securityContext: object;
  serviceAccountName: string;
  nodeSelector: object;
}
const specOf = (objects: readonly KubeObject[]) => at(find(objects, 'Job', name), 'spec', 'template', 'spec') as PodSpec;

/** What the program makes of the variables of the Job. */
function settingsOf(objects: readonly KubeObject[]) {
  const given = specOf(objects).containers[0]?.env.flatMap(({ name: key, value }) => (value === undefined ? [] : [[key, value] as const]));
  return parseSettings(settings, [], Object.fromEntries(given ?? []));
}

describe('the Job of an uninstall', () => {
  it('is a hook before the deletion, whose log stays to be read for a day', async () => {
    const job = find(await render(), 'Job', name);
    assert.deepEqual(at(job, 'metadata', 'annotations'), {
      'helm.sh/hook': 'pre-delete',
      'helm.sh/hook-delete-policy': 'before-hook-creation',
    });
    assert.equal(at(job, 'spec', 'ttlSecondsAfterFinished'), 86_400);
    assert.equal(at(job, 'spec', 'activeDeadlineSeconds'), 300);
  });

  it('runs where the controller runs, confined, with an account of its own', async () => {
    const spec = specOf(await render('--set', 'controller.nodeSelector.pool=system'));
    assert.deepEqual(spec.containers[0]?.command, ['node', '/app/controller.cjs', 'uninstall']);
    assert.equal(spec.serviceAccountName, name);
    assert.deepEqual(spec.nodeSelector, { 'kubernetes.io/os': 'linux', pool: 'system' });
    assert.equal(at(spec.securityContext, 'runAsNonRoot'), true);
    assert.deepEqual(at(spec.containers[0]?.securityContext, 'capabilities'), { drop: ['ALL'] });
  });

  for (const [what, set, detach, timeout] of [
    ['detaches by default', 'uninstall.enabled=true', true, 240],
    ['detaches nothing if told so', 'uninstall.detach=false,uninstall.timeout=60', false, 60],
    ['detaches nothing in managed mode', 'operationMode=managed', false, 240],
  ] as const)
    it(`${what}`, async () => {
      const values = settingsOf(await render('--set', set));
      assert.deepEqual([values.detach, values.timeout], [detach, timeout]);
    });

  it('changes only named objects, besides AzureAssignedIdentities', async () => {
    const objects = await render();
    const rules = [find(objects, 'ClusterRole', name), find(objects, 'Role', name)].flatMap(
      (role) => role.rules as { resources: string[]; resourceNames?: string[]; verbs: string[] }[],
    );
    const writes = rules.filter(({ verbs }) => verbs.some((verb) => !['get', 'list'].includes(verb)));
    assert.deepEqual(
      writes.map(({ resources, resourceNames, verbs }) => [resources[0], resourceNames ?? [], verbs]),
      [
        ['mutatingwebhookconfigurations', [webhookConfigurationName], ['delete']],
        ['azureassignedidentities', [], ['list', 'patch', 'delete']],
        ['deployments/scale', [programs.controller, programs.broker], ['patch']],
        ['pods', [testPodName], ['delete']],
        ['configmaps', [uninstallRequestName], ['patch']],
        ['leases', [leaderLeaseName], ['get', 'delete']],
      ],
    );
    assert.doesNotMatch(JSON.stringify(rules), /"\*"|secrets/);
  });

  it('may write AzureAssignedIdentities where the guard keeps others from it', async () => {
    const objects = await render('--set', 'guard.enabled=true,guard.policies.assignedIdentities=deny');
    const policy = find(objects, 'ValidatingAdmissionPolicy', 'aad-pod-identity-assigned-identities');
    assert.match(JSON.stringify(policy), /system:serviceaccount:system:aad-pod-identity-uninstall/);
  });

  it('is not there with uninstall.enabled=false', async () => {
    const objects = await render('--set', 'uninstall.enabled=false');
    assert.deepEqual(
      objects.filter((one) => at(one, 'metadata', 'name') === name),
      [],
    );
  });

  it('is printed alone by the command for tools that run no hooks', async () => {
    const { code, stdout, stderr } = await template('--show-only', 'templates/uninstall.yaml');
    assert.equal(code, 0, stderr);
    assert.equal(stdout.match(/^kind: /gm)?.length, 1);
    assert.match(stdout, /^kind: Job$/m);
  });
});
