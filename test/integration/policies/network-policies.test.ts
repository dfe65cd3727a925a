// The rendered network policies against the API server's schemas. Cilium's schema comes from its Go module, whose checksum go.sum has.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { stringAt } from '../../../lib/kube/objects.ts';
import type { KubeObject } from '../../chart/render.ts';
import { find, render } from '../../chart/render.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import type { Result } from '../../cluster/run.ts';
import { findOnPath, mustRun, run } from '../../cluster/run.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { eventually, untilEstablished } from '../../harness/wait.ts';

const module = path.resolve(import.meta.dirname, '../../cluster/go/cilium');
const skip = findOnPath('go') === undefined ? 'the schema of Cilium needs Go' : false;

describe('the network policies of the guard', () => {
  let plane: ControlPlane;
  let objects: KubeObject[];
  const apply = (input: string, ...flags: string[]): Promise<Result> =>
    run(plane.kubectl, ['apply', '--server-side', '--validate=strict', ...flags, '-f', '-'], {
      env: { KUBECONFIG: plane.kubeconfig },
      input,
    });

  before(async () => {
    plane = await leaseControlPlane();
    objects = await render('--set', 'guard.enabled=true,guard.networkPolicy.namespaces={default},guard.cilium.enabled=true');
  });
  after(() => plane?.stop());

  it('are valid for Kubernetes', async () => {
    const { code, stderr } = await apply(JSON.stringify(find(objects, 'NetworkPolicy', 'aad-pod-identity-imds')));
    assert.equal(code, 0, stderr);
  });

  it('are valid for Cilium, which would refuse a misspelt field', { skip }, async () => {
    const env = { GOWORK: 'off', GOFLAGS: '-mod=readonly -buildvcs=false' };
    const printed: unknown = JSON.parse(
      await mustRun('go', ['mod', 'download', '-json', 'github.com/cilium/cilium'], { cwd: module, env }),
    );
    const crd = 'pkg/k8s/apis/cilium.io/client/crds/v2/ciliumclusterwidenetworkpolicies.yaml';
    const kubectl = (...args: string[]) => mustRun(plane.kubectl, args, { env: { KUBECONFIG: plane.kubeconfig } });
    await kubectl('create', '-f', path.join(stringAt(printed, 'Dir') ?? '', crd));
    await untilEstablished(() => kubectl('wait', '--for=condition=Established', 'crd/ciliumclusterwidenetworkpolicies.cilium.io'));
    const policy = JSON.stringify(find(objects, 'CiliumClusterwideNetworkPolicy', 'aad-pod-identity-imds'));
    // The API server serves a new kind a moment after it calls it established.
    const isServed = async () => !(await apply(policy)).stderr.includes('no matches for kind');
    await eventually(isServed, 'the kind of Cilium is served');
    const { code, stderr } = await apply(policy);
    assert.equal(code, 0, stderr);
    assert.match((await apply(policy.replace('egressDeny', 'egressDenied'), '--force-conflicts')).stderr, /unknown field|egressDenied/);
  });
});
