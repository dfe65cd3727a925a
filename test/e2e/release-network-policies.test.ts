// The chart's NetworkPolicies for its own programs, enforced by kube-router: servers stand for the programs, with the labels and ports of the chart.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { ports } from '../../api/names.ts';
import { podOf, render, template } from '../chart/render.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { up } from '../cluster/cluster.ts';
import { missingForCluster } from '../cluster/requirements.ts';
import { eventually } from './harness.ts';
import type { PolicedCluster } from './policed-cluster.ts';
import { policedCluster } from './policed-cluster.ts';

const missing = await missingForCluster();
const skip = missing.length > 0 ? `the cluster needs ${missing.join('; ')}` : false;
const log = (line: string) => console.log(line);
const programs = ['broker', 'controller', 'webhook'] as const;
const system = 'system';
/** One process for each port: the image has no server that listens on many. */
const listen = `for my $port (@ARGV) {
  next if fork;
  my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 5, ReuseAddr => 1) or die;
  while (my $client = $server->accept) { <$client>; print $client "HTTP/1.0 200 OK\\r\\n\\r\\n"; close $client }
}
1 while wait != -1;`;

describe('the network policies of the release', { skip }, () => {
  let cluster: Cluster;
  const addresses = new Map<string, string>();

  let policed: PolicedCluster;

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
    cluster = await up({ name: 'e2e-release-policies', log });
    policed = policedCluster(cluster, log);
    const { kubectl, apply, pod, ready, addressOf } = policed;
    for (const namespace of [system, 'team', 'monitoring']) await kubectl(['create', 'namespace', namespace]);
    const objects = await render(...values());
    const server = (program: (typeof programs)[number]) => {
      const listening = Object.values(ports[program]).map(String);
      const { labels } = podOf(objects, `aad-pod-identity-${program}`);
      return pod(system, program, labels, ['perl', '-MIO::Socket::INET', '-e', listen, ...listening]);
    };
    await apply(
      ...programs.map(server),
      pod('team', 'plain', {}),
      pod('team', 'labelled', { aadpodidbinding: 'x' }),
      pod('monitoring', 'plain', {}),
    );
    await ready(system, 'team', 'monitoring');
    for (const program of programs) addresses.set(program, await addressOf(system, program));
    await eventually(
      'the servers answer before the policies',
      () => reaches('team/plain', 'controller', ports.controller.metrics),
      (reached) => reached,
    );
    await applyPolicies();
    await policed.enforce(() => reaches('team/plain', 'controller', ports.controller.metrics));
  });
  after(() => cluster?.down());

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
