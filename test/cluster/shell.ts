// What a shell needs to follow docs/first-pod.md in a test cluster.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import type { Cluster } from './cluster.ts';

const valuesFile = (cluster: Cluster) => path.join(cluster.folder, 'values.json');

/** Keeps values of the chart for {@link variablesOf}. */
export function writeValues(cluster: Cluster, values: string): void {
  writeFileSync(valuesFile(cluster), values, { mode: 0o600 });
}

/** Variables by name. Those of the chart are there once its values are. `identity` is the resource id of a user-assigned identity of the emulator. */
export function variablesOf(cluster: Cluster, identity: string): Record<string, string> {
  const programs = [cluster.kubectlProgram, cluster.helmProgram].map((file) => path.dirname(file));
  const values = valuesFile(cluster);
  return {
    KUBECONFIG: cluster.kubeconfig,
    PATH: [...programs, process.env.PATH].join(':'),
    ...(existsSync(values) ? { VALUES: values, IDENTITY: identity, APP_IMAGE: cluster.appImage } : {}),
  };
}
