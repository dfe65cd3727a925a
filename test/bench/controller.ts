// `npm run bench -- controller`: the program between the real API server and the emulator, whose operations take 20 s as a scale set's do, and
// matching alone. Prints tables, asserts nothing.
import { setTimeout as delay } from 'node:timers/promises';
import { binding as bindingOf, identity as identityOf, pod as podOf } from '../../controller/assignment/testing/fixtures.ts';
import { fakeWorld } from '../../controller/assignment/testing/world.ts';
import { group } from '../integration/azure/support.ts';
import type { Stage } from '../integration/controller/stage.ts';
import { setStage, statusOf } from '../integration/controller/stage.ts';

const operationMs = 20_000;

interface Load {
  pods: number;
  nodes: number;
  sets: number;
  identities: number;
  /** Of aad-pod-identity 1.8.17 for the same, measured once. */
  upstreamSeconds: number;
}
const loads: Load[] = [
  { pods: 200, nodes: 10, sets: 1, identities: 5, upstreamSeconds: 119 },
  { pods: 2_000, nodes: 30, sets: 3, identities: 5, upstreamSeconds: 837 },
];

const rows: string[][] = [];
const row = (what: string, value: number, unit: string, target?: number) => {
  const shown = value >= 100 ? Math.round(value) : value.toFixed(2);
  rows.push([
    what,
    `${shown} ${unit}`,
    target === undefined ? '' : `<= ${target} ${unit}`,
    target === undefined ? '' : (value / target).toFixed(2),
  ]);
  console.error(`  ${what}: ${shown} ${unit}`);
};

const setId = (index: number) => `${group}/Microsoft.Compute/virtualMachineScaleSets/set-${index}`;
const names = (count: number, prefix: string) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** Runs the work over the items, so many at a time. */
async function spread<T>(items: readonly T[], width: number, work: (item: T, index: number) => Promise<unknown>): Promise<void> {
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const [index, item] of queue) await work(item, index);
    }),
  );
}

async function until(condition: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 300_000; !condition(); await delay(20))
    if (Date.now() > deadline) throw new Error('the system did not come to rest within 300 s');
}

async function assignAndRelease(load: Load): Promise<void> {
  const stage: Stage = await setStage({
    imds: { vm: 'set-0/0' },
    scaleSets: names(load.sets, 'set').map((name) => ({ name, instances: load.nodes })),
    virtualMachines: [],
    identities: names(load.identities, 'identity').map((name) => ({ name })),
    settings: { limits: { imds: false, arm: true }, arm: { operationMs, retryAfterSeconds: null } },
  });
  try {
    for (let node = 0; node < load.nodes; node += 1)
      await stage.makeNode(`node-${node}`, `azure://${setId(node % load.sets)}/virtualMachines/${node}`);
    for (const name of names(load.identities, 'identity')) {
      await stage.makeIdentity(name);
      await stage.makeBinding(name, name, name);
    }
    // The product's own settings but for the linger, which is what the second half would otherwise measure.
    const defaults = ['--collect-quiet=300', '--collect-max=1000', '--arm-poll-interval=2000', '--client-qps=250'];
    await stage.startController([...defaults, '--lease-duration=10', '--lease-renew=7', '--lease-retry=2']);
    const pods = names(load.pods, 'pod');
    const what = `${load.pods} pods, ${load.nodes} nodes, ${load.sets} set${load.sets > 1 ? 's' : ''}`;
    await spread(pods, 20, (name, index) =>
      stage.makePod(name, `identity-${index % load.identities}`, { node: `node-${index % load.nodes}` }),
    );
    const made = performance.now();
    await until(() => [...stage.assigned.values()].filter((each) => statusOf(each) === 'Assigned').length === load.pods);
    const seconds = (performance.now() - made) / 1000;
    row(`${what}: all Assigned after the last pod`, seconds, 's', 25);
    row('  beside the operation itself', seconds / (operationMs / 1000), 'x', 1.25);
    row('  beside aad-pod-identity', seconds / load.upstreamSeconds, 'x', 1);
    const attaching = stage.patches();
    row('  PATCHes for each set', attaching / load.sets, '', 2);

    await spread(pods, 20, (name) => stage.removePod(name));
    const removed = performance.now();
    // What Azure shows changes when it takes the write; done is when the operation ends.
    const idle = () => [...stage.emulator.state().operations.values()].every(({ status }) => status !== 'InProgress');
    await until(
      () =>
        [...stage.assigned.values()].length === 0 &&
        idle() &&
        names(load.sets, 'set').every((_, index) => stage.attached(setId(index)).length === 0),
    );
    row(`${what}: all gone and detached after the last pod`, (performance.now() - removed) / 1000, 's', 25);
    row('  PATCHes for each set', (stage.patches() - attaching) / load.sets, '', 2);
  } finally {
    await stage.stop();
  }
}

function matching(podCount: number, bindingCount: number): void {
  const world = fakeWorld();
  const selectors = names(bindingCount, 'selector');
  for (const [index, selector] of selectors.entries()) {
    world.identities.put(`app/i-${index}`, identityOf(`app/i-${index}`));
    world.bindings.put(`app/b-${index}`, bindingOf(`app/b-${index}`, `i-${index}`, selector));
  }
  for (const [index, name] of names(podCount, 'pod').entries())
    world.pods.put(`app/${name}`, podOf({ key: `app/${name}`, name, uid: name, selector: selectors[index % bindingCount] ?? '' }));

  const began = performance.now();
  let matches = 0;
  for (const pod of world.pods.values()) matches += world.matches.matchesOf(pod).length;
  row(`matching ${matches} pods, ${bindingCount} bindings from scratch`, performance.now() - began, 'ms', 1_000);

  let touched = 0;
  const off = world.matches.onPod((key) => {
    const pod = world.pods.get(key);
    if (pod !== undefined) touched += world.matches.matchesOf(pod).length;
  });
  const changed = performance.now();
  world.bindings.put('app/b-0', bindingOf('app/b-0', 'i-1', selectors[0] ?? ''));
  row(`one binding change, ${touched} pods touched`, performance.now() - changed, 'ms', 5);
  off();
}

matching(20_000, 500);
for (const load of loads) await assignAndRelease(load);
const width = [0, 1, 2].map((column) => Math.max(...rows.map((cells) => cells[column]?.length ?? 0)));
for (const cells of [['', 'measured', 'target', 'ratio (1 or less is good)'], ...rows])
  console.log(cells.map((cell, column) => cell.padEnd(width[column] ?? 0)).join('  '));
