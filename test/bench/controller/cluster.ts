// Fixtures of the controller's benches: scale sets with nodes, identities with bindings, many pods.
import { group } from '../../integration/azure/fixtures.ts';
import type { Harness } from '../../integration/controller/harness/harness.ts';
import { startHarness } from '../../integration/controller/harness/harness.ts';

export const setId = (index: number) => `${group}/Microsoft.Compute/virtualMachineScaleSets/set-${index}`;
export const names = (count: number, prefix: string) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

export interface Cluster {
  nodes: number;
  sets: number;
  identities: number;
}

/** Nodes `node-0` ... spread over the sets; `identity-0` ... each bound to the selector of its own name. */
export async function startCluster({ nodes, sets, identities }: Cluster, arm: Record<string, unknown>): Promise<Harness> {
  const harness = await startHarness({
    azure: {
      imds: { vm: 'set-0/0' },
      scaleSets: names(sets, 'set').map((name) => ({ name, instances: nodes })),
      virtualMachines: [],
      identities: names(identities, 'identity').map((name) => ({ name })),
      settings: { limits: { imds: false, arm: true }, arm },
    },
  });
  for (let node = 0; node < nodes; node += 1)
    await harness.createNode(`node-${node}`, `azure://${setId(node % sets)}/virtualMachines/${node}`);
  for (const name of names(identities, 'identity')) {
    await harness.createIdentity(name);
    await harness.createBinding(name, name, name);
  }
  return harness;
}

/** Runs the work over the items, so many at a time. */
export async function spread<T>(items: readonly T[], width: number, work: (item: T, index: number) => Promise<unknown>): Promise<void> {
  const queue = items.entries();
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (const [index, item] of queue) await work(item, index);
    }),
  );
}
