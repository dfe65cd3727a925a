// Many pods at once, from the last one's creation until Azure and all objects agree, and the way back.
import { statusOf } from '../../integration/controller/harness/observations.ts';
import { names, setCluster, setId, spread, until } from './cluster.ts';
import { row } from './table.ts';

const operationMs = 20_000;

export interface Load {
  pods: number;
  nodes: number;
  sets: number;
  identities: number;
  /** Of aad-pod-identity 1.8.17 for the same, measured once. */
  upstreamSeconds: number;
}

export async function assignAndRelease(load: Load): Promise<void> {
  const harness = await setCluster(load, { operationMs, retryAfterSeconds: null });
  try {
    // The product's own settings but for the linger, which is what the second half would otherwise measure.
    const defaults = ['--collect-quiet=300', '--collect-max=1000', '--arm-poll-interval=2000', '--client-qps=250'];
    await harness.startController([...defaults, '--lease-duration=10', '--lease-renew=7', '--lease-retry=2']);
    const pods = names(load.pods, 'pod');
    const what = `${load.pods} pods, ${load.nodes} nodes, ${load.sets} set${load.sets > 1 ? 's' : ''}`;
    await spread(pods, 20, (name, index) =>
      harness.createPod(name, `identity-${index % load.identities}`, { node: `node-${index % load.nodes}` }),
    );
    const made = performance.now();
    await until(() => [...harness.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length === load.pods, 300);
    const seconds = (performance.now() - made) / 1000;
    row(`${what}: all Assigned after the last pod`, seconds, 's', 25);
    row('  beside the operation itself', seconds / (operationMs / 1000), 'x', 1.25);
    row('  beside aad-pod-identity', seconds / load.upstreamSeconds, 'x', 1);
    const attaching = harness.patches();
    row('  PATCHes for each set', attaching / load.sets, '', 2);

    await spread(pods, 20, (name) => harness.deletePod(name));
    const removed = performance.now();
    // What Azure shows changes when it takes the write; done is when the operation ends.
    const idle = () => [...harness.emulator.state().operations.values()].every(({ status }) => status !== 'InProgress');
    const detached = () => names(load.sets, 'set').every((_, index) => harness.attached(setId(index)).length === 0);
    await until(() => [...harness.assigned.values()].length === 0 && idle() && detached(), 300);
    row(`${what}: all gone and detached after the last pod`, (performance.now() - removed) / 1000, 's', 25);
    row('  PATCHes for each set', (harness.patches() - attaching) / load.sets, '', 2);
  } finally {
    await harness.stop();
  }
}
