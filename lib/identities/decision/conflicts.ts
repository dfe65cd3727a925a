// Parts of a pod that collide with what the webhook injects.
import { injectedContainerNames, injectedVolumeNames } from '../../../api/injection.ts';
import { proxyId, proxyPort } from '../../../api/names.ts';
import { endpointVariables } from './endpoint-variables.ts';
import type { Deny } from './outcome.ts';
import { deny } from './outcome.ts';
import type { PodView } from './pod-view.ts';
import { nameOf } from './raw-pod.ts';

/** The first part that no injected pod may have. */
export function conflictIn(pod: PodView): Deny | undefined {
  // In classic mode such a pod would run the proxy alone.
  if (pod.containers.length === 0) return deny('no_containers', 'spec.containers');

  const reserved = reservedPartIn(pod);
  if (reserved !== undefined) return reserved;

  // The redirect lets the packets of this user and group through: docs/adr/0001-per-pod-interception.md.
  const declared = pod.ids.find(({ id }) => id === proxyId);
  if (declared !== undefined) return deny('reserved_id', declared.place);

  const listener = pod.allContainers.find(({ tcpPorts }) => tcpPorts.includes(proxyPort));
  return listener === undefined ? undefined : deny('port_conflict', `${listener.place}.ports`);
}

/** The first container, volume or mount with a name that only what the webhook adds may have. */
export function reservedPartIn(pod: PodView): Deny | undefined {
  const container = pod.allContainers.find(({ name }) => injectedContainerNames.has(name));
  if (container !== undefined) return deny('reserved_name', container.place);
  const volume = pod.volumes.map(nameOf).find((name) => injectedVolumeNames.has(name));
  return volume === undefined ? reservedMountIn(pod) : deny('reserved_name', `spec.volumes[${volume}]`);
}

/** A pod may mount a volume that it does not have when it is submitted: the webhook adds ours. */
function reservedMountIn(pod: PodView): Deny | undefined {
  for (const { place, mounts } of pod.allContainers) {
    const mount = mounts.find((name) => injectedVolumeNames.has(name));
    if (mount !== undefined) return deny('reserved_mount', `${place}.volumeMounts[${mount}]`);
  }
  return undefined;
}

/** The first environment variable that collides with those of `interception: none`. */
export function variableConflictIn(pod: PodView): Deny | undefined {
  for (const { place, variables } of pod.allContainers) {
    const variable = endpointVariables.find((name) => variables.includes(name));
    if (variable !== undefined) return deny('environment_conflict', `${place}.env[${variable}]`);
  }
  return undefined;
}
