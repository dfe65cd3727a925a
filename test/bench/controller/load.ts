// Many pods at once, from the last one's creation until Azure and all objects agree, and the way back.

import { eventually } from '../../harness/wait.ts';
import { statusOf } from '../../integration/controller/harness/observations.ts';
import { row } from '../table.ts';
import { names, setId, spread, startCluster } from './cluster.ts';

const operationMs = 20_000;
const within = { seconds: 300, everyMs: 20 };

export interface Load {
  pods: number;
  nodes: number;
  sets: number;
  identities: number;
  /** What aad-pod-identity 1.8.17 took for the same, measured once. */
  upstreamSeconds: number;
}

export async function assignAndRelease(load: Load): Promise<void> {
  const harness = await startCluster(load, { operationMs, retryAfterSeconds: null });
  try {
    // The default settings, but without the detach delay, which the second half would measure.
    const defaults = ['--collect-quiet=300', '--collect-max=1000', '--arm-poll-interval=2000', '--client-qps=250'];
    await harness.startController([...defaults, '--lease-duration=10', '--lease-renew=7', '--lease-retry=2']);
    const pods = names(load.pods, 'pod');
    const what = `${load.pods} pods, ${load.nodes} nodes, ${load.sets} set${load.sets > 1 ? 's' : ''}`;
    await spread(pods, 20, (name, index) =>
      harness.createPod(name, `identity-${index % load.identities}`, { node: `node-${index % load.nodes}` }),
    );
    const made = performance.now();
    const assigned = () => [...harness.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length;
    await eventually(() => assigned() === load.pods, 'all pods are Assigned', within);
    const seconds = (performance.now() - made) / 1000;
    row(`${what}: all Assigned after the last pod`, seconds, 's', { atMost: 25 });
    row('  beside the operation itself', seconds / (operationMs / 1000), 'x', { atMost: 1.25 });
    row('  beside aad-pod-identity', seconds / load.upstreamSeconds, 'x', { atMost: 1 });
    const attaching = harness.patches();
    row('  PATCHes for each set', attaching / load.sets, '', { atMost: 2 });

    await spread(pods, 20, (name) => harness.deletePod(name));
    const removed = performance.now();
    // Azure shows the change when it accepts the write; it is done when the operation ends.
    const idle = () => [...harness.emulator.state().operations.values()].every(({ status }) => status !== 'InProgress');
    const detached = () => names(load.sets, 'set').every((_, index) => harness.attached(setId(index)).length === 0);
    await eventually(() => harness.count() === 0 && idle() && detached(), 'all pods are released', within);
    row(`${what}: all gone and detached after the last pod`, (performance.now() - removed) / 1000, 's', { atMost: 25 });
    row('  PATCHes for each set', (harness.patches() - attaching) / load.sets, '', { atMost: 2 });
  } finally {
    await harness.stop();
  }
}
