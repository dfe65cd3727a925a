// Which parts of a submitted pod are those of an earlier admission: the pod passes the webhook again, or it is a copy of an injected one.
import { isDeepStrictEqual } from 'node:util';
import { injectedContainerNames } from '../../../api/injection.ts';
import {
  annotations,
  emptyVolumeName,
  initContainerName,
  proxyContainerName,
  sidecarCommand,
  tokenVolumeName,
} from '../../../api/names.ts';
import { at, isRecord } from '../../../common/records.ts';
import { listOf } from './container-view.ts';
import { isInjectedVariable } from './endpoint-variables.ts';
import type { RawObject, RawPod } from './raw-pod.ts';
import { nameOf } from './raw-pod.ts';

/**
 * How the pod shows that containers and volumes of the reserved names are injected ones; undefined where they are the user's. `status`: by the
 * annotation. `copy`: by themselves alone, since `kubectl debug --copy-to` drops annotations.
 */
export function injectionIn(pod: RawPod): 'status' | 'copy' | undefined {
  if (isStatus(pod.metadata.annotations?.[annotations.status])) return 'status';
  const containers = injectedIn(pod);
  return containers.length > 0 && containers.every(isLikeInjected) ? 'copy' : undefined;
}

/** The containers of the reserved names. */
export function injectedIn({ spec }: RawPod): RawObject[] {
  return [...(spec.containers ?? []), ...(spec.initContainers ?? [])].filter((container) => injectedContainerNames.has(nameOf(container)));
}

function isStatus(text: string | undefined): boolean {
  if (text === undefined) return false;
  try {
    const status: unknown = JSON.parse(text);
    return isRecord(status) && typeof status.templateHash === 'string' && Array.isArray(status.containers);
  } catch {
    return false;
  }
}

/** Anybody can write these, and gains nothing: a container that is taken for an injected one is removed. */
function isLikeInjected(container: RawObject): boolean {
  const volume = { [initContainerName]: emptyVolumeName, [proxyContainerName]: tokenVolumeName }[nameOf(container)];
  return (
    isDeepStrictEqual(container.command, [...sidecarCommand]) &&
    listOf(container.volumeMounts).some((mount) => at(mount, 'name') === volume)
  );
}

/** The containers without the injected ones, each without the variables that the webhook sets. */
export function ownContainers(containers: readonly RawObject[]): RawObject[] {
  return containers.filter((container) => !injectedContainerNames.has(nameOf(container))).map(withoutInjectedVariables);
}

/** Returns the same object where there are none, so that the patch does not touch the container. */
function withoutInjectedVariables(container: RawObject): RawObject {
  const { env, ...rest } = container;
  if (!Array.isArray(env) || !env.some(isInjectedVariable)) return container;
  const own = env.filter((variable: unknown) => !isInjectedVariable(variable));
  return own.length === 0 ? rest : { ...container, env: own };
}
