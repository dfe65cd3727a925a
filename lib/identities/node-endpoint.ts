// Pods that the node endpoint serves while their containers do not run yet (docs/adr/0032-node-endpoint.md).
import type { Pod } from './pod.ts';

/** The pod mounts a volume of one of the drivers. These may ask for its tokens on the node. */
export function mountsDriver({ volumeDrivers }: Pick<Pod, 'volumeDrivers'>, drivers: readonly string[]): boolean {
  return volumeDrivers.some((driver) => drivers.includes(driver));
}
