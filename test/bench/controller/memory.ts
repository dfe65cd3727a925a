// Memory of controller and broker as the chart starts them, with an assignment for each of many pods.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pods as podKind, resourcePath } from '../../../lib/kube/resources.ts';
import { bundle } from '../../../tools/build.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { serveBroker } from '../../integration/controller/broker-service.ts';
import type { ControllerProgram } from '../../integration/controller/harness/controller-process.ts';
import { statusOf } from '../../integration/controller/harness/observations.ts';
import { names, setCluster, spread, until } from './cluster.ts';
import { realisticPod } from './pods.ts';
import { row } from './table.ts';

const target = 250;
/** For garbage that goes by itself, and for whatever comes late. */
const restMs = 20_000;
const cluster = { nodes: 100, sets: 10, identities: 50 };
const lease = ['--lease-duration=10', '--lease-renew=7', '--lease-retry=2'];

export async function memory(count: number): Promise<void> {
  const program = await asInChart('controller');
  const harness = await setCluster(cluster, { operationMs: 1_000 });
  try {
    await spread(names(count, 'pod'), 30, (name, index) => {
      const selector = `identity-${index % cluster.identities}`;
      const body = realisticPod(`${selector}-6d4f9c7b58-${name}`, selector, `node-${index % cluster.nodes}`);
      return harness.client.call('POST', resourcePath(podKind, { namespace: 'default' }), { body });
    });
    // Faster than by default only so that the bench ends sooner.
    const leader = await harness.startController([...lease, '--instance=leader', '--client-qps=1000'], program);
    const assigned = () => [...harness.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length;
    await until(() => assigned() === count, 3_600, 1_000);
    const follower = await harness.startController([...lease, '--instance=follower'], program);
    await ready(follower);
    tell(`leader that wrote ${count} assignments`, leader);
    tell(`follower that read ${count} pods and assignments`, follower);

    await leader.stop();
    const next = await harness.startController([...lease, '--instance=next'], program);
    await ready(next);
    tell('follower that became leader', follower);
    const broker = await serveBroker(harness);
    const replica = await broker.startReplica(await asInChart('broker'));
    tell(`broker that read ${count} pods and assignments`, replica);
    await delay(restMs);
    for (const [what, one] of Object.entries({ leader: follower, follower: next, broker: replica }))
      row(`  ${what}, at rest`, mib(one, 'VmRSS'), 'MiB', target);
    await broker.stop();
  } finally {
    await harness.stop();
  }
}

/** The chart's own node flags and environment for the bundle that its image holds. */
async function asInChart(name: 'controller' | 'broker'): Promise<ControllerProgram> {
  const { outfile } = await bundle(name, { write: true });
  const root = path.resolve(import.meta.dirname, '../../..');
  const template = readFileSync(path.join(root, 'charts/aad-pod-identity-webhook/templates', `${name}.yaml`), 'utf8');
  const flags = /command: \[node, (.*, )?\/app\/\w+\.cjs\]/.exec(template)?.[1] ?? '';
  const env = [...template.matchAll(/name: (MALLOC_\w+), value: "(\w+)"/g)].map(([, name = '', value = '']) => [name, value]);
  return { nodeFlags: flags.split(', ').filter((flag) => flag !== ''), file: outfile, env: Object.fromEntries(env) };
}

async function ready(controller: RunningProgram): Promise<void> {
  const { probes } = await controller.logged(({ msg }) => msg === 'started');
  for (const deadline = Date.now() + 300_000; Date.now() < deadline; await delay(200))
    if ((await fetch(`http://127.0.0.1:${String(probes)}/readyz`)).status === 200) return;
  throw new Error('the controller is not ready after 300 s');
}

function mib(controller: RunningProgram, what: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${String(controller.process.pid)}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

function tell(what: string, controller: RunningProgram): void {
  row(`${what}: RSS`, mib(controller, 'VmRSS'), 'MiB', target);
  row('  at most so far', mib(controller, 'VmHWM'), 'MiB', target);
}
