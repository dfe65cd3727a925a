// What the tiers build before their tests begin. On a fresh machine that takes minutes, which must not count into the time limit of a test file.
import { findContainerRuntime, findHelm, findKubernetes, findOldestApiServer, missingForPrograms } from '../cluster/binaries.ts';
import { currentImages } from '../cluster/images.ts';
import { findPrometheus, missingForPrometheus } from '../cluster/prometheus.ts';
import { missingForCluster, missingForUserNamespaces } from '../cluster/requirements.ts';
import type { TierName } from './tiers.ts';

type Log = (line: string) => void;

/** Where something is missing nothing is built: the tests say what, and skip or fail. */
const preparations: Partial<Record<TierName, (log: Log) => Promise<void>>> = {
  async chart(log) {
    if ((await missingForPrograms()).length === 0) await findHelm(log);
  },
  async integration(log) {
    if (missingForPrometheus().length === 0) await findPrometheus(log);
    if ((await missingForPrograms()).length > 0) return;
    await Promise.all([findKubernetes(log), findOldestApiServer(log)]);
  },
  async e2e(log) {
    if ((await missingForCluster()).length > 0) return;
    if ((await missingForUserNamespaces()).length === 0) await findContainerRuntime(log);
    await currentImages(log);
  },
};

/** Builds what is missing, with a line of progress now and then. Throws what a build throws. */
export async function prepare(names: readonly TierName[], log: Log): Promise<void> {
  for (const name of names) await preparations[name]?.(log);
}
