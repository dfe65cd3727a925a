// The chart's values for a cluster whose Azure is the emulator.
import type { Cluster } from '../cluster/cluster.ts';
import type { ProductImages } from '../cluster/images.ts';
import { controllerSignIn } from './azure.ts';

/** JSON, which helm reads as YAML. */
export function chartValues(cluster: Cluster, images: ProductImages, controller: Record<string, unknown> = {}): string {
  const imageOf = (reference: string) => {
    const [repository = '', tag = ''] = reference.split(/:(?=[^/]+$)/);
    return { repository, tag };
  };
  const values = {
    image: { controlPlane: imageOf(images.controlPlane.reference), sidecar: imageOf(images.sidecar.reference) },
    adminsecret: controllerSignIn,
    entraEndpoint: cluster.azure.entra,
    extraCaCertificates: cluster.azure.ca,
    controller: { armEndpoint: cluster.azure.arm, identityDetachDelay: 0, ...controller },
  };
  return JSON.stringify(values, undefined, 2);
}
