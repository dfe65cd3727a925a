// The chart installed by the real helm in a real API server: it takes what the chart makes, and a second release is refused.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { webhookConfigurationName } from '../../../api/names.ts';
import { findHelm } from '../../cluster/binaries.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { startControlPlane } from '../../cluster/control-plane.ts';
import { mustRun, run } from '../../cluster/run.ts';

const chart = path.resolve(import.meta.dirname, '../../../charts/aad-pod-identity-webhook');
const values = JSON.stringify({
  adminsecret: { useMSI: true },
  image: { controlPlane: { repository: 'registry.test/control-plane' }, sidecar: { repository: 'registry.test/sidecar' } },
  networkPolicy: { enabled: true, metricsNamespaces: ['monitoring'], apiServerCIDRs: ['10.0.0.0/8', 'fd00::/8'] },
});

describe('helm install', () => {
  let plane: ControlPlane;
  let helmProgram: string;
  const environment = () => ({ env: { KUBECONFIG: plane.kubeconfig }, timeoutSeconds: 60 });
  const kubectl = (...args: string[]) => mustRun(plane.kubectl, args, environment());
  const helm = (...args: string[]) => run(helmProgram, args, environment());
  const install = (release: string, namespace: string) =>
    run(helmProgram, ['install', release, chart, '-n', namespace, '--create-namespace', '--values', '-'], {
      ...environment(),
      input: values,
    });
  const refusesAnother = async (release: string, namespace: string) => {
    const { code, stderr } = await install(release, namespace);
    assert.notEqual(code, 0);
    assert.match(stderr, /release first in namespace one is installed in this cluster already.*upgrade that one, or uninstall it first/);
  };

  before(async () => {
    helmProgram = await findHelm(() => undefined);
    plane = await startControlPlane();
    const { code, stdout, stderr } = await install('first', 'one');
    assert.equal(code, 0, stderr);
    assert.doesNotMatch(stdout, /WARNING/);
    assert.match(stdout, /\n\n1\. Say which Azure identity exists/);
  });
  after(() => plane?.stop());

  it('makes network policies that the API server keeps as they are', async () => {
    const kept = await kubectl('get', 'networkpolicy', '-n', 'one', '-o', 'jsonpath={.items[*].spec.ingress[*].from}');
    for (const part of ['"cidr":"fd00::/8"', '"values":["monitoring"]', '"key":"aadpodidbinding"']) assert.ok(kept.includes(part), part);
  });

  it('refuses a second release and says which one there is', async () => {
    await refusesAnother('second', 'one');
    await refusesAnother('first', 'two');
  });

  it('refuses a second release when the webhook configuration is gone', async () => {
    await kubectl('delete', 'mutatingwebhookconfiguration', webhookConfigurationName);
    await refusesAnother('second', 'two');
  });

  it('upgrades the one release, and counts the AzureIdentities in its notes', async () => {
    const identity = { apiVersion: 'aadpodidentity.k8s.io/v1', kind: 'AzureIdentity', metadata: { name: 'demo' }, spec: {} };
    await mustRun(plane.kubectl, ['apply', '-f', '-'], { ...environment(), input: JSON.stringify(identity) });
    const { code, stdout, stderr } = await helm('upgrade', 'first', chart, '-n', 'one', '--reuse-values');
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /\n\n1\. The cluster has 1 AzureIdentity\. Which pods may use which: .*\n\n2\. Label pods .*<selector of a binding>\n/,
    );
    assert.doesNotMatch(stdout, /Say which/);
  });

  it('leaves ClusterRoles for users to aad-pod-identity while it has them', async () => {
    const upgrade = (set: string) => helm('upgrade', 'first', chart, '-n', 'one', '--reuse-values', '--set', set);
    const ownerOf = (role: string) =>
      kubectl('get', 'clusterrole', role, '--ignore-not-found', '-o', 'jsonpath={.metadata.annotations.meta\\.helm\\.sh/release-name}');
    for (const role of ['aad-pod-identity-view', 'aad-pod-identity-edit']) {
      await kubectl('create', 'clusterrole', role, '--verb=get', '--resource=azureidentities.aadpodidentity.k8s.io');
      const owner = ['meta.helm.sh/release-name=theirs', 'meta.helm.sh/release-namespace=default'];
      await kubectl('annotate', 'clusterrole', role, ...owner);
      await kubectl('label', 'clusterrole', role, 'app.kubernetes.io/managed-by=Helm');
    }
    const refused = await upgrade('rbac.userFacingClusterRoles=create');
    assert.match(
      refused.stderr,
      /aad-pod-identity-view exists already, of release "theirs" in namespace "default": set rbac\.userFacing\S+=existing/,
    );

    const carried = 'rbac.createUserFacingClusterRoles=true';
    const beside = await upgrade(carried);
    assert.equal(beside.code, 0, beside.stderr);
    assert.equal(await ownerOf('aad-pod-identity-edit'), 'theirs');
    await kubectl('delete', 'clusterrole', 'aad-pod-identity-view', 'aad-pod-identity-edit');
    const alone = await upgrade(carried);
    assert.equal(alone.code, 0, alone.stderr);
    assert.deepEqual(await Promise.all(['view', 'edit', 'exceptions'].map((role) => ownerOf(`aad-pod-identity-${role}`))), [
      'first',
      'first',
      'first',
    ]);
  });

  it('lists the values of aad-pod-identity that have no effect', async () => {
    const { code, stdout, stderr } = await helm(
      'upgrade',
      'first',
      chart,
      '-n',
      'one',
      '--reuse-values',
      '--set',
      'nmi.probePort=8085,mic.tag=v1',
    );
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /values of aad-pod-identity have no effect.*:\n {2}mic\.tag: .*\n {2}nmi\.probePort: the sidecars open no port on nodes\.\n/,
    );
  });

  it('warns when the release goes into namespace default', async () => {
    // Nobody runs the Job of an uninstall here.
    const uninstalled = await helm('uninstall', 'first', '-n', 'one', '--no-hooks');
    assert.equal(uninstalled.code, 0, uninstalled.stderr);
    // No kubelet runs the Job of the hook.
    await helm('uninstall', 'first', '-n', 'one', '--no-hooks');
    const { code, stdout, stderr } = await install('first', 'default');
    assert.equal(code, 0, stderr);
    assert.match(stdout, /WARNING: whoever has rights in namespace default has the rights of this release/);
  });
});
