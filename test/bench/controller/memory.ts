// Memory of controller and broker as the chart starts them, with an assignment for each of many pods.
import { readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { pods as podKind, resourcePath } from '../../../lib/kube/resources.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { eventually } from '../../harness/wait.ts';
import { serveBroker } from '../../integration/controller/broker-service.ts';
import type { Harness } from '../../integration/controller/harness/harness.ts';
import { statusOf } from '../../integration/controller/harness/observations.ts';
import { asInChart } from '../as-in-chart.ts';
import { row } from '../table.ts';
import { names, spread, startCluster } from './cluster.ts';
import { realisticPod } from './pods.ts';

/** RSS in MiB, by the number of pods. */
const controllerTarget = (pods: number) => ({ atMost: pods > 2_000 ? 250 : 110 });
/** For garbage collection, and for changes that arrive late. */
const restMs = 20_000;
const readySeconds = 300;
const cluster = { nodes: 100, sets: 10, identities: 50 };
const lease = ['--lease-duration=10', '--lease-renew=7', '--lease-retry=2'];

export async function memory(count: number): Promise<void> {
  const target = controllerTarget(count);
  const [controller, broker] = [await asInChart('controller'), await asInChart('broker')];
  const harness = await startCluster(cluster, { operationMs: 1_000 });
  const service = await serveBroker(harness);
  try {
    await createPods(harness, count);
    // A higher rate than the default, so that the bench ends sooner.
    const leader = await harness.startController([...lease, '--instance=leader', '--client-qps=1000'], controller);
    const assigned = () => [...harness.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length;
    await eventually(() => assigned() === count, 'all pods are Assigned', { seconds: 3_600, everyMs: 1_000 });
    const follower = await harness.startController([...lease, '--instance=follower'], controller);
    await untilReady(follower);
    memoryRows(`leader that wrote ${count} assignments`, leader, target);
    memoryRows(`follower that read ${count} pods and assignments`, follower, target);
    const replica = await service.startReplica(broker, readySeconds);
    memoryRows(`broker that read ${count} pods and assignments`, replica);

    await leader.stop();
    const next = await harness.startController([...lease, '--instance=next'], controller);
    await untilReady(next);
    memoryRows('follower that became leader', follower, target);
    await delay(restMs);
    row('leader, at rest: RSS', mib(follower, 'VmRSS'), 'MiB', target);
    row('follower, at rest: RSS', mib(next, 'VmRSS'), 'MiB', target);
    row('broker, at rest: RSS', mib(replica, 'VmRSS'), 'MiB');
  } finally {
    await service.stop();
    await harness.stop();
  }
}

const createPods = (harness: Harness, count: number): Promise<void> =>
  spread(names(count, 'pod'), 30, (name, index) => {
    const selector = `identity-${index % cluster.identities}`;
    const body = realisticPod(`${selector}-6d4f9c7b58-${name}`, selector, `node-${index % cluster.nodes}`);
    return harness.client.call('POST', resourcePath(podKind, { namespace: 'default' }), { body });
  });

async function untilReady(controller: RunningProgram): Promise<void> {
  const { probes } = await controller.logged(({ msg }) => msg === 'started');
  const isReady = async () => (await fetch(`http://127.0.0.1:${String(probes)}/readyz`)).status === 200;
  await eventually(isReady, 'a controller that is ready', { seconds: readySeconds, everyMs: 200 });
}

function mib(program: RunningProgram, what: 'VmRSS' | 'VmHWM'): number {
  const status = readFileSync(`/proc/${String(program.process.pid)}/status`, 'utf8');
  return Number(new RegExp(`${what}:\\s+(\\d+)`).exec(status)?.[1]) / 1024;
}

function memoryRows(what: string, program: RunningProgram, target?: { atMost: number }): void {
  row(`${what}: RSS`, mib(program, 'VmRSS'), 'MiB', target);
  row('  at most so far', mib(program, 'VmHWM'), 'MiB', target);
}
