// The chart's NetworkPolicies, and the one of docs/networking.md, in a real cluster whose network policies kube-router enforces: who reaches IMDS and
// the programs, and what is cut off. Servers stand for the programs, with the labels and ports of the chart.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { ports } from '../../api/names.ts';
import { find, podOf, render, template } from '../chart/render.ts';
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
const programs = ['broker', 'controller', 'webhook'] as const;
const system = 'system';
/** One process for each port: the image has no server that listens on many. */
const listen = `for my $port (@ARGV) {
  next if fork;
  my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 5, ReuseAddr => 1) or die;
  while (my $client = $server->accept) { <$client>; print $client "HTTP/1.0 200 OK\\r\\n\\r\\n"; close $client }
}
1 while wait != -1;`;
/** The command of a pod that answers on these ports. */
const serverAt = (...on: number[]) => ['perl', '-MIO::Socket::INET', '-e', listen, ...on.map(String)];
const imds = `http://${azure.imds}/metadata/instance?api-version=2021-02-01`;

let cluster: Cluster;
let policed: PolicedCluster;

before(async () => {
  if (skip !== false) return;
  cluster = await up({ name: 'e2e-network-policies', log });
  policed = policedCluster(cluster, log);
});
after(() => cluster?.down());

describe('the network policy of the guard', { skip }, () => {
  before(async () => {
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

describe('the network policies of the release', { skip }, () => {
  const addresses = new Map<string, string>();

  const urlOf = (program: string, port: number) => `http://${addresses.get(program)}:${port}/`;
  /** Whether a pod, given as namespace/name, gets an answer of a program. */
  const reaches = (from: string, program: string, port: number): Promise<boolean> => {
    const [namespace = '', name = ''] = from.split('/');
    return policed.reaches(namespace, name, urlOf(program, port));
  };
  /** Pods of the given ones that reach a port. */
  const reaching = async (program: string, port: number): Promise<string[]> => {
    const found: string[] = [];
    for (const from of ['team/plain', 'team/labelled', 'monitoring/plain']) if (await reaches(from, program, port)) found.push(from);
    return found;
  };
  /** As text: client-node would write `from` as `_from`. */
  const applyPolicies = async (...more: string[]) => {
    const { stdout } = await template(...values(...more), '--show-only', 'templates/network-policies.yaml');
    await policed.kubectl(['apply', '-n', system, '-f', '-'], stdout);
  };
  const values = (...more: string[]) => [
    '--set',
    ['networkPolicy.enabled=true', 'networkPolicy.metricsNamespaces={monitoring}', ...more].join(),
  ];

  before(async () => {
    const { kubectl, apply, pod, ready, addressOf } = policed;
    for (const namespace of [system, 'team', 'monitoring']) await kubectl(['create', 'namespace', namespace]);
    const objects = await render(...values());
    const server = (program: (typeof programs)[number]) => {
      const { labels } = podOf(objects, `aad-pod-identity-${program}`);
      return pod(system, program, labels, serverAt(...Object.values(ports[program])));
    };
    await apply(
      ...programs.map(server),
      pod('team', 'plain', {}),
      pod('team', 'labelled', { aadpodidbinding: 'x' }),
      pod('monitoring', 'plain', {}),
    );
    await ready(system, 'team', 'monitoring');
    for (const program of programs) addresses.set(program, await addressOf(system, program));
    for (const program of programs)
      await eventually(
        `the server of the ${program} answers before the policies`,
        () => reaches('team/plain', program, ports[program].metrics),
        (reached) => reached,
      );
    await applyPolicies();
    await policed.enforce(async () => {
      const reached = await Promise.all(programs.map((program) => reaches('team/plain', program, ports[program].metrics)));
      return reached.some((one) => one);
    });
  });

  it('let only labelled pods reach the broker', async () => {
    assert.deepEqual(await reaching('broker', ports.broker.api), ['team/labelled']);
  });

  it('let every pod reach the webhook, since the API server may be one', async () => {
    assert.deepEqual(await reaching('webhook', ports.webhook.admission), ['team/plain', 'team/labelled', 'monitoring/plain']);
  });

  for (const program of programs)
    it(`let only the chosen namespace read metrics and probes of the ${program}`, async () => {
      for (const port of [ports[program].metrics, ports[program].probes])
        assert.deepEqual(await reaching(program, port), ['monitoring/plain'], String(port));
    });

  it('let the node of a pod reach its probes, as kubelet does', async () => {
    for (const program of programs) {
      const fetches = `await fetch('${urlOf(program, ports[program].probes)}', { signal: AbortSignal.timeout(2_000) })`;
      const { code, stderr } = await cluster.enter(process.execPath, ['--input-type=module', '-e', fetches]);
      assert.equal(code, 0, `${program}: ${stderr}`);
    }
  });

  it('keep pods from the webhook once the CIDRs of the API server are given', async () => {
    await applyPolicies('networkPolicy.apiServerCIDRs={192.0.2.0/24}');
    await eventually(
      'no pod reaches the webhook',
      () => reaching('webhook', ports.webhook.admission),
      (found) => found.length === 0,
    );
  });
});
