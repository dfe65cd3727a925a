// Takes our own parts off a pod, so that a reinvocation, or a pod that was copied from a live one, is decided and rendered like a new one.
import { annotations, emptyVolumeName, initContainerName, proxyContainerName, tokenVolumeName } from '../api/names.ts';
import { isRecord } from '../lib/kube/objects.ts';
import { isOurVariable } from './environment.ts';
import type { Pod, PodSpec, RawObject } from './pod.ts';
import { annotationOf, nameOf } from './pod.ts';

export const reservedContainerNames: ReadonlySet<string> = new Set([initContainerName, proxyContainerName]);
export const reservedVolumeNames: ReadonlySet<string> = new Set([tokenVolumeName, emptyVolumeName]);

export interface Stripped {
  pod: Pod;
  /** `resources` of our containers as they were found: other admission plugins may have completed them (LimitRange defaults). */
  resources: ReadonlyMap<string, RawObject>;
}

/**
 * The status annotation alone tells that the parts are ours; without a valid one a reserved name is the user's, which decide refuses. The
 * annotation itself always goes: it may only stand on a pod that render makes.
 */
export function strip(pod: Pod): Stripped {
  const status = annotationOf(pod, annotations.status);
  if (status === undefined) return { pod, resources: new Map() };
  const metadata = { ...pod.metadata, annotations: without(pod.metadata.annotations ?? {}, annotations.status) };
  if (Object.keys(metadata.annotations).length === 0) Reflect.deleteProperty(metadata, 'annotations');
  if (!isStatus(status)) return { pod: { ...pod, metadata }, resources: new Map() };

  const resources = new Map<string, RawObject>();
  const keepContainer = (container: RawObject): boolean => {
    if (!reservedContainerNames.has(nameOf(container))) return true;
    if (isRecord(container.resources)) resources.set(nameOf(container), container.resources);
    return false;
  };
  const spec: PodSpec = { ...pod.spec, containers: (pod.spec.containers ?? []).filter(keepContainer).map(withoutVariables) };
  replaceList(spec, 'initContainers', (spec.initContainers ?? []).filter(keepContainer).map(withoutVariables));
  replaceList(
    spec,
    'volumes',
    (spec.volumes ?? []).filter((volume) => !reservedVolumeNames.has(nameOf(volume))),
  );
  return { pod: { ...pod, metadata, spec }, resources };
}

/** A list that held nothing but ours was not there before; an empty one of the user's stays. */
function replaceList(spec: PodSpec, field: 'initContainers' | 'volumes', kept: RawObject[]): void {
  const before = spec[field] ?? [];
  if (kept.length === 0 && before.length > 0) Reflect.deleteProperty(spec, field);
  else if (before.length > 0) spec[field] = kept;
}

function isStatus(text: string): boolean {
  try {
    const status: unknown = JSON.parse(text);
    return isRecord(status) && typeof status.templateHash === 'string' && Array.isArray(status.containers);
  } catch {
    return false;
  }
}

function without(map: Record<string, string>, key: string): Record<string, string> {
  return Object.fromEntries(Object.entries(map).filter(([name]) => name !== key));
}

/** The same object when it has none of our variables, so that an untouched container stays untouched in the patch. */
function withoutVariables(container: RawObject): RawObject {
  const { env, ...rest } = container;
  if (!Array.isArray(env) || !env.some(isOurVariable)) return container;
  const kept = env.filter((variable: unknown) => !isOurVariable(variable));
  return kept.length === 0 ? rest : { ...container, env: kept };
}
