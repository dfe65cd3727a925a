// `migrate` against a real API server, and the same from manifests.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect } from '../../../lib/kube/client.ts';
import { at, stringAt } from '../../../lib/kube/objects.ts';
import { azureIdentities, namespaces, resourcePath } from '../../../lib/kube/resources.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { mustRun } from '../../cluster/run.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { installCrds } from '../../harness/crds.ts';
import { kubeconfigOf } from '../../harness/service-account.ts';
import { eventually } from '../../harness/wait.ts';
import { runPlugin } from './plugin.ts';

const manifests = path.join(import.meta.dirname, 'aad-pod-identity.yaml');
const reader = { namespace: 'team-a', name: 'reader' };

let plane: ControlPlane;
let client: KubeClient;
let folder: string;
const kubectl = (...args: string[]) => mustRun(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig }, timeoutSeconds: 60 });

before(async () => {
  plane = await leaseControlPlane();
  await installCrds(plane);
  client = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 100 });
  folder = await mkdtemp(path.join(os.tmpdir(), 'migrate-'));
  // By kubectl, which later applies the changes. It refuses a pod as long as its namespace has no service account.
  await eventually(() => kubectl('apply', '-f', manifests).then(Boolean, () => false), 'the manifests are applied', { everyMs: 500 });
});
after(async () => {
  await client?.close();
  await plane?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Without what was of no matter: a file has other things than a cluster. */
async function reportFrom(...args: string[]) {
  const { stdout, stderr } = await runPlugin(plane.kubeconfig, ['migrate', '-o', 'json', ...args]);
  assert.equal(stderr, '');
  const { sections, ...report } = JSON.parse(stdout) as {
    sections: { findings: { status: string; code?: string }[] }[];
    values: unknown;
    steps: { commands: string[] }[];
  };
  const kept = sections.map((section) => ({ ...section, findings: section.findings.filter(({ status }) => status !== 'skipped') }));
  return { ...report, sections: kept };
}

describe('kubectl aad-pod-identity migrate', () => {
  it('reports the same of a cluster, of its manifests and of what kubectl prints', async () => {
    const kinds =
      'azureidentities,azureidentitybindings,azurepodidentityexceptions,deployments,daemonsets,statefulsets,cronjobs,jobs,replicasets,pods';
    const dump = path.join(folder, 'dump.yaml');
    await writeFile(dump, await kubectl('get', kinds, '-A', '-o', 'yaml'));
    await writeFile(path.join(folder, 'more.json'), await kubectl('get', 'namespaces,clusterroles', '-o', 'json'));
    const cluster = await reportFrom();
    assert.deepEqual(await reportFrom('-f', manifests), cluster);
    assert.deepEqual(await reportFrom('-f', dump, '-f', path.join(folder, 'more.json')), cluster);
    assert.deepEqual(
      cluster.sections.flatMap(({ findings }) => findings.flatMap(({ code }) => code ?? [])),
      ['NodeFileSignIn', 'SecretNamespaces', 'BindingMissing', 'PodSecurity', 'RecreateByHand'],
    );
    assert.deepEqual(cluster.values, {
      controller: {
        cloudConfig: '/etc/kubernetes/azure.json',
        identityAssignmentReconcileInterval: 300,
        immutableUserMsis: ['33333333-0000-4000-8000-000000000001'],
      },
      mic: {
        nodeSelector: { 'kubernetes.azure.com/mode': 'system' },
        replicas: 3,
        tolerations: [{ key: 'CriticalAddonsOnly', operator: 'Exists', effect: 'NoSchedule' }],
      },
      rbac: { secretNamespaces: ['team-b'], userFacingClusterRoles: 'existing' },
      sidecar: { blockInstanceMetadata: true },
    });
    const commands = cluster.steps.flatMap((step) => step.commands);
    assert.ok(commands.includes('kubectl rollout restart statefulset/db -n team-b'));
    assert.ok(commands.includes('helm uninstall pod-identity -n identity-system'));
  });

  it('ends with 1 where something would break, and prints the steps', async () => {
    const { code, stdout } = await runPlugin(plane.kubeconfig, ['migrate', '--federate']);
    assert.equal(code, 1);
    assert.match(stdout, /^ {2}\[broken\] {2}namespace team-b: .*\[PodSecurity\]$/m);
    assert.match(
      stdout,
      /^ {2}\$ kubectl annotate azureidentity reader -n team-a aadpodidentity\.k8s\.io\/assignment=federate --overwrite$/m,
    );
    assert.match(stdout, /^ {2}team-b\/partner: it is of type 1: .*\[NotFederable\]$/m);
  });

  for (const [where, flags] of [
    ['in the client', []],
    ['in the server', ['--server-side']],
  ] as const)
    it(`prints objects that kubectl applies ${where}, and that keep all else`, async () => {
      const readerPath = resourcePath(azureIdentities, reader);
      const remove = {
        contentType: 'application/merge-patch+json',
        body: { metadata: { annotations: { 'aadpodidentity.k8s.io/assignment': null } } },
      };
      await client.call('PATCH', readerPath, remove);
      const before = await client.call('GET', readerPath);
      const { stdout } = await runPlugin(plane.kubeconfig, ['migrate', '--federate', '-o', 'yaml']);
      const file = path.join(folder, 'changed.yaml');
      await writeFile(file, stdout);
      await kubectl('apply', ...flags, '-f', file);
      const changed = await client.call('GET', readerPath);
      assert.equal(stringAt(changed, 'metadata', 'annotations', 'aadpodidentity.k8s.io/assignment'), 'federate');
      assert.deepEqual([at(changed, 'spec'), at(changed, 'metadata', 'labels')], [at(before, 'spec'), at(before, 'metadata', 'labels')]);
      const tight = await client.call('GET', resourcePath(namespaces, { name: 'team-b' }));
      assert.equal(stringAt(tight, 'metadata', 'annotations', 'aadpodidentity.k8s.io/interception'), 'none');
      assert.equal(stringAt(tight, 'metadata', 'annotations', 'owner'), 'b');
      assert.equal(stringAt(tight, 'metadata', 'labels', 'pod-security.kubernetes.io/enforce'), 'baseline');
      const again = await runPlugin(plane.kubeconfig, ['migrate', '--federate', '-o', 'yaml']);
      assert.equal(again.stdout, '# Nothing is to be changed.\n');
    });

  it('names each right that is missing, and ends with 1', async () => {
    await kubectl('create', 'serviceaccount', 'mover', '-n', 'team-a');
    const kubeconfig = await kubeconfigOf({ plane, client, namespace: 'team-a', name: 'mover' });
    const { code, stdout } = await runPlugin(kubeconfig, ['migrate']);
    assert.equal(code, 1);
    assert.match(stdout, /you may not list azureidentities\.aadpodidentity\.k8s\.io in all namespaces \[RightMissing\]/);
    assert.match(stdout, /you may not list deployments\.apps in all namespaces \[RightMissing\]/);
    assert.match(stdout, /Something could not be read, so the report is incomplete/);
  });

  it('refuses a wrong command line with 2', async () => {
    const { code, stderr } = await runPlugin(plane.kubeconfig, ['migrate', '-f', path.join(folder, 'gone')]);
    assert.equal(code, 2);
    assert.match(stderr, /--filename is '.*gone': accepted is a file, a folder or -/);
  });
});
