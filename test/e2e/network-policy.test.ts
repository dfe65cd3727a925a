// The chart's NetworkPolicy in a real cluster whose network policies kube-router enforces: who reaches IMDS, and that nothing else is cut off.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';
import { find, render } from '../chart/render.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { up } from '../cluster/cluster.ts';
import { startKubeRouter } from '../cluster/kube-router.ts';
import { azure } from '../cluster/node-config.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { listOf } from './fixtures.ts';
import { eventually } from './harness.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const log = (line: string) => console.log(line);
const marker = 'aadpodidentity.k8s.io/injected';
const listed = 'listed';
const other = 'other';
const imds = `http://${azure.imds}/metadata/instance?api-version=2021-02-01`;

describe('the network policy of the guard', { skip }, () => {
  let cluster: Cluster;

  const kubectl = async (args: string[], input?: string): Promise<string> => {
    const { stdout, stderr, code } = await cluster.kubectl(args, { timeoutSeconds: 90, ...(input === undefined ? {} : { input }) });
    assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}${stdout}`);
    return stdout;
  };
  const apply = (...objects: unknown[]) => kubectl(['apply', '-f', '-'], listOf(objects));
  const pod = (namespace: string, name: string, labels: Record<string, string>, command = ['sleep', 'infinity']) => ({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { namespace, name, labels },
    spec: { terminationGracePeriodSeconds: 1, containers: [{ name: 'app', image: cluster.appImage, command }] },
  });
  /** Whether the pod gets any answer from there. */
  const reaches = async (namespace: string, name: string, url: string): Promise<boolean> => {
    const curl = ['curl', '-sk', '-m', '2', '-o', '/dev/null', '-H', 'Metadata: true', url];
    const { code, stderr } = await cluster.kubectl(['exec', '-n', namespace, name, '--', ...curl], { timeoutSeconds: 30 });
    // 7: refused, 28: no answer in time.
    assert.ok([0, 7, 28].includes(code), `curl ended with ${code}: ${stderr}`);
    return code === 0;
  };
  const addressOf = (namespace: string, name: string) => kubectl(['get', 'pod', '-n', namespace, name, '-o', 'jsonpath={.status.podIP}']);

  before(async () => {
    cluster = await up({ name: 'e2e-network-policy', log });
    for (const namespace of [listed, other]) await kubectl(['create', 'namespace', namespace]);
    const answers = 'while ($c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\\r\\n\\r\\n"; close $c }';
    const server = ['perl', '-MIO::Socket::INET', '-e', `$s = IO::Socket::INET->new(LocalPort => 80, Listen => 5) or die; ${answers}`];
    await apply(
      pod(listed, 'plain', {}),
      pod(listed, 'none', { aadpodidbinding: 'x', [marker]: 'none' }),
      pod(listed, 'guard', { [marker]: 'guard' }),
      pod(listed, 'opted-out', { aadpodidbinding: 'x' }),
      pod(listed, 'redirect', { aadpodidbinding: 'x', [marker]: 'redirect' }),
      pod(other, 'elsewhere', {}),
      pod(other, 'server', {}, server),
    );
    for (const namespace of [listed, other])
      await kubectl(['wait', '--for=condition=Ready', 'pod', '--all', '-n', namespace, '--timeout=60s']);
    assert.equal(await reaches(listed, 'plain', imds), true, 'before the policy');
    const objects = await render('--set', `guard.enabled=true,guard.networkPolicy.namespaces={${listed}}`);
    await apply(find(objects, 'NetworkPolicy', 'aad-pod-identity-imds'));
    const output = await startKubeRouter(cluster, log);
    await eventually(
      'the policy is enforced',
      () => reaches(listed, 'plain', imds),
      (reached) => !reached,
      60,
    ).catch((error: unknown) => {
      console.error(readFileSync(output, 'utf8').slice(-4000));
      throw error;
    });
  });
  after(() => cluster?.down());

  for (const name of ['plain', 'none', 'guard', 'opted-out'])
    it(`keeps pod ${name} from IMDS, and from nothing else`, async () => {
      assert.equal(await reaches(listed, name, imds), false);
      assert.equal(await reaches(listed, name, `https://${azure.arm}/`), true);
      assert.equal(await reaches(listed, name, `http://${await addressOf(other, 'server')}/`), true);
    });

  it('lets a pod with a redirect reach IMDS', async () => assert.equal(await reaches(listed, 'redirect', imds), true));

  it('lets pods of other namespaces reach IMDS', async () => assert.equal(await reaches(other, 'elsewhere', imds), true));

  it('covers a pod that is made later', async () => {
    await apply(pod(listed, 'late', {}));
    await kubectl(['wait', '--for=condition=Ready', 'pod/late', '-n', listed, '--timeout=60s']);
    await eventually(
      'the policy covers it',
      () => reaches(listed, 'late', imds),
      (reached) => !reached,
    );
  });

  it('is opened again by another policy that allows every address', async () => {
    await apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: listed, name: 'all' },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] },
    });
    await eventually(
      'IMDS is open',
      () => reaches(listed, 'plain', imds),
      (reached) => reached,
    );
  });
});
