// The CSI driver of the tests in the real cluster, as a pod in the network of the node, and pods whose volumes it mounts.
import path from 'node:path';
import type { Cluster } from '../cluster/cluster.ts';
import { pod, podTemplate } from './fixtures.ts';

export const csiDriverName = 'token.csi.test';
/** Also a process of the node that can ask for anything, since it has a shell, curl and iptables. */
export const csiDriverPod = 'csi-driver';

/** `program`: path of the driver on the node. */
export function csiDriver(cluster: Cluster, program: string): unknown[] {
  const kubelet = path.join(cluster.folder, 'kubelet');
  const mounts = { kubelet, driver: path.dirname(program) };
  const app = {
    command: [program, `--kubelet=${kubelet}`, `--node=${cluster.nodeName}`],
    securityContext: { privileged: true },
    volumeMounts: Object.entries(mounts).map(([name, mountPath]) => ({ name, mountPath })),
  };
  const volumes = Object.entries(mounts).map(([name, hostPath]) => ({ name, hostPath: { path: hostPath } }));
  return [
    {
      apiVersion: 'storage.k8s.io/v1',
      kind: 'CSIDriver',
      metadata: { name: csiDriverName },
      // The pod's name reaches the driver by podInfoOnMount, as the Azure provider requires.
      spec: { attachRequired: false, podInfoOnMount: true, volumeLifecycleModes: ['Ephemeral'] },
    },
    pod(csiDriverPod, podTemplate(cluster.appImage, undefined, { app, spec: { hostNetwork: true, volumes } })),
  ];
}

/** A pod without a sidecar whose volume holds the token that the driver got. */
export function mountingPod(cluster: Cluster, name: string, selector: string, spec: Record<string, unknown> = {}): unknown {
  const volumes = [{ name: 'token', csi: { driver: csiDriverName } }];
  const app = { volumeMounts: [{ name: 'token', mountPath: '/mnt/token' }] };
  const annotations = { 'aadpodidentity.k8s.io/inject': 'false' };
  return pod(name, podTemplate(cluster.appImage, selector, { annotations, app, spec: { volumes, ...spec } }));
}
