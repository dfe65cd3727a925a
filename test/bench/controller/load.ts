// Many pods at once, from the last one's creation until Azure and all objects agree, and the way back.

import { eventually } from '../../harness/wait.ts';
import type { Harness } from '../../integration/controller/harness/harness.ts';
import { statusOf } from '../../integration/controller/harness/observations.ts';
import { row } from '../table.ts';
import { names, setId, spread, startCluster } from './cluster.ts';
import { startOtherController } from './other-controller.ts';

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

/** Seconds after the last pod was made or deleted, and PATCHes of all sets. */
interface Measured {
  assigned: number;
  attaching: number;
  released: number;
  detaching: number;
}

/** `other`: command of another controller, with the placeholders of `--against controller=`. */
export async function assignAndRelease(load: Load, other: string | undefined): Promise<void> {
  const theirs = other === undefined ? undefined : await measure(load, (harness) => startOtherController(harness, other));
  const ours = await measure(load, startOurs);
  const what = `${load.pods} pods, ${load.nodes} nodes, ${load.sets} set${load.sets > 1 ? 's' : ''}`;
  const operation = { what: 'the operation of the scale set', value: operationMs / 1000 };
  row(`${what}: all Assigned after the last pod`, ours.assigned, 's', { reference: operation, atMost: 1.25 });
  const upstream = { what: 'aad-pod-identity, measured once elsewhere', value: load.upstreamSeconds };
  row('  the same', ours.assigned, 's', { reference: upstream, atMost: 1 });
  row('  PATCHes for each set', ours.attaching / load.sets, '', { atMost: 2 });
  row(`${what}: all gone and detached after the last pod`, ours.released, 's', { reference: operation, atMost: 1.25 });
  row('  PATCHes for each set', ours.detaching / load.sets, '', { atMost: 2 });
  if (theirs === undefined) return;
  const beside = (value: number) => ({ reference: { what: 'the other controller', value }, atMost: 1 });
  row('  all Assigned', ours.assigned, 's', beside(theirs.assigned));
  row('  all gone and detached', ours.released, 's', beside(theirs.released));
  row('  PATCHes', ours.attaching + ours.detaching, '', beside(theirs.attaching + theirs.detaching));
}

/** With the default settings, but without the detach delay, which the second half would measure. */
async function startOurs(harness: Harness): Promise<() => Promise<void>> {
  const defaults = ['--collect-quiet=300', '--collect-max=1000', '--arm-poll-interval=2000', '--client-qps=250'];
  await harness.startController([...defaults, '--lease-duration=10', '--lease-renew=7', '--lease-retry=2']);
  return () => Promise.resolve();
}

/** `start` starts a controller and returns what ends it. */
async function measure(load: Load, start: (harness: Harness) => Promise<() => Promise<void>>): Promise<Measured> {
  const harness = await startCluster(load, { operationMs, retryAfterSeconds: null });
  try {
    const stop = await start(harness);
    try {
      return await measureIn(harness, load);
    } finally {
      await stop();
    }
  } finally {
    await harness.stop();
  }
}

async function measureIn(harness: Harness, load: Load): Promise<Measured> {
  const pods = names(load.pods, 'pod');
  await spread(pods, 20, (name, index) =>
    harness.createPod(name, `identity-${index % load.identities}`, { node: `node-${index % load.nodes}` }),
  );
  const made = performance.now();
  const assignedCount = () => [...harness.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length;
  await eventually(() => assignedCount() === load.pods, 'all pods are Assigned', within);
  const assigned = (performance.now() - made) / 1000;
  const attaching = harness.patches();

  await spread(pods, 20, (name) => harness.deletePod(name));
  const removed = performance.now();
  // Azure shows the change when it accepts the write; it is done when the operation ends.
  const idle = () => [...harness.emulator.state().operations.values()].every(({ status }) => status !== 'InProgress');
  const detached = () => names(load.sets, 'set').every((_, index) => harness.attached(setId(index)).length === 0);
  await eventually(() => harness.count() === 0 && idle() && detached(), 'all pods are released', within);
  const released = (performance.now() - removed) / 1000;
  return { assigned, attaching, released, detaching: harness.patches() - attaching };
}
