// What a shell needs to follow docs/install.md in a test cluster.
import { existsSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { chartValues } from '../demo/chart-values.ts';
import type { Cluster } from './cluster.ts';
import type { ProductImages } from './images.ts';

const valuesFile = (cluster: Cluster) => path.join(cluster.folder, 'values.json');

/** The chart's values, with the images and the emulator's addresses. */
export function writeValues(cluster: Cluster, images: ProductImages): void {
  writeFileSync(valuesFile(cluster), chartValues(cluster, images), { mode: 0o600 });
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
