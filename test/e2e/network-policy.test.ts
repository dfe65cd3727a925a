// The chart's NetworkPolicy, and the one of docs/networking.md, in a real cluster whose network policies kube-router enforces: who reaches IMDS and
// the broker, and what is cut off.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { find, render } from '../chart/render.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { up } from '../cluster/cluster.ts';
import { azure } from '../cluster/node-config.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { eventually } from './harness.ts';
import type { PolicedCluster } from './policed-cluster.ts';
import { policedCluster } from './policed-cluster.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const log = (line: string) => console.log(line);
const marker = 'aadpodidentity.k8s.io/injected';
const listed = 'listed';
const other = 'other';
/** The command of a pod that answers on this port. */
const serverAt = (port: number) => {
  const answers = 'while ($c = $s->accept) { <$c>; print $c "HTTP/1.0 200 OK\\r\\n\\r\\n"; close $c }';
  return ['perl', '-MIO::Socket::INET', '-e', `$s = IO::Socket::INET->new(LocalPort => ${port}, Listen => 5) or die; ${answers}`];
};
const imds = `http://${azure.imds}/metadata/instance?api-version=2021-02-01`;

describe('the network policy of the guard', { skip }, () => {
  let cluster: Cluster;

  let policed: PolicedCluster;

  before(async () => {
    cluster = await up({ name: 'e2e-network-policy', log });
    policed = policedCluster(cluster, log);
    const { kubectl, apply, pod, ready, reaches } = policed;
    for (const namespace of [listed, other]) await kubectl(['create', 'namespace', namespace]);
    await apply(
      pod(listed, 'plain', {}),
      pod(listed, 'none', { aadpodidbinding: 'x', [marker]: 'none' }),
      pod(listed, 'guard', { [marker]: 'guard' }),
      pod(listed, 'opted-out', { aadpodidbinding: 'x' }),
      pod(listed, 'redirect', { aadpodidbinding: 'x', [marker]: 'redirect' }),
      pod(other, 'elsewhere', {}),
      pod(other, 'server', {}, serverAt(80)),
    );
    await ready(listed, other);
    assert.equal(await reaches(listed, 'plain', imds), true, 'before the policy');
    const objects = await render('--set', `guard.enabled=true,guard.networkPolicy.namespaces={${listed}}`);
    await apply(find(objects, 'NetworkPolicy', 'aad-pod-identity-imds'));
    await policed.enforce(() => reaches(listed, 'plain', imds));
  });
  after(() => cluster?.down());

  for (const name of ['plain', 'none', 'guard', 'opted-out'])
    it(`keeps pod ${name} from IMDS, and from nothing else`, async () => {
      assert.equal(await policed.reaches(listed, name, imds), false);
      assert.equal(await policed.reaches(listed, name, `https://${azure.arm}/`), true);
      assert.equal(await policed.reaches(listed, name, `http://${await policed.addressOf(other, 'server')}/`), true);
    });

  it('lets a pod with a redirect reach IMDS', async () => assert.equal(await policed.reaches(listed, 'redirect', imds), true));

  it('lets pods of other namespaces reach IMDS', async () => assert.equal(await policed.reaches(other, 'elsewhere', imds), true));

  it('covers a pod that is made later', async () => {
    await policed.apply(policed.pod(listed, 'late', {}));
    await policed.kubectl(['wait', '--for=condition=Ready', 'pod/late', '-n', listed, '--timeout=60s']);
    await eventually(
      'the policy covers it',
      () => policed.reaches(listed, 'late', imds),
      (reached) => !reached,
    );
  });

  it('opens broker and IMDS to injected pods by the policy of docs/networking.md', async () => {
    const page = readFileSync(path.resolve(import.meta.dirname, '../../docs/networking.md'), 'utf8');
    const [, policy = ''] = /^```yaml\n(apiVersion: networking[\s\S]*?)^```$/m.exec(page) ?? [];
    const { kubectl, apply, pod, ready, reaches, addressOf } = policed;
    const [team, release] = ['team-a', 'aad-pod-identity'];
    for (const namespace of [team, release]) await kubectl(['create', 'namespace', namespace]);
    await apply(
      pod(team, 'injected', { aadpodidbinding: 'x', [marker]: 'redirect' }),
      pod(team, 'plain', {}),
      pod(release, 'broker', { 'app.kubernetes.io/component': 'broker' }, serverAt(9443)),
      pod(release, 'controller', { 'app.kubernetes.io/component': 'controller' }, serverAt(9443)),
    );
    await ready(team, release);
    const urls = { imds, arm: `https://${azure.arm}/`, broker: '', controller: '' };
    for (const name of ['broker', 'controller'] as const) urls[name] = `http://${await addressOf(release, name)}:9443/`;
    const reached = async (name: string) => {
      const found: string[] = [];
      for (const [target, url] of Object.entries(urls)) if (await reaches(team, name, url)) found.push(target);
      return found;
    };
    assert.deepEqual(await reached('injected'), ['imds', 'arm', 'broker', 'controller'], 'before the policies');
    await apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: team, name: 'default-deny' },
      spec: { podSelector: {}, policyTypes: ['Egress'] },
    });
    await eventually(
      'all egress is denied',
      () => reached('injected'),
      (found) => found.length === 0,
    );
    await kubectl(['apply', '-f', '-'], policy);
    await eventually(
      'the documented policy is in force',
      () => reached('injected'),
      (found) => found.join() === 'imds,broker',
    );
    assert.deepEqual(await reached('plain'), []);
  });

  it('is opened again by another policy that allows every address', async () => {
    await policed.apply({
      apiVersion: 'networking.k8s.io/v1',
      kind: 'NetworkPolicy',
      metadata: { namespace: listed, name: 'all' },
      spec: { podSelector: {}, policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '0.0.0.0/0' } }] }] },
    });
    await eventually(
      'IMDS is open',
      () => policed.reaches(listed, 'plain', imds),
      (reached) => reached,
    );
  });
});
