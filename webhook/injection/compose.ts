// Puts a pod together from its JSON and other annotations, containers and volumes. Every other field stays as it was sent.
import { annotations as names } from '../../api/names.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject, RawPod, StringMap } from '../../lib/identities/decision/raw-pod.ts';

export interface PodParts {
  annotations: StringMap;
  initContainers: readonly RawObject[];
  containers: readonly RawObject[];
  volumes: readonly RawObject[];
}

export function compose(raw: RawPod, { annotations, ...lists }: PodParts): RawObject {
  return { ...raw, metadata: withMembers(raw.metadata, { annotations }), spec: withMembers(raw.spec, lists) };
}

/** The pod without what an earlier admission injected; the same object where there is none. */
export function strip({ raw, annotations, initContainers, containers, volumes }: PodView): RawObject {
  if (raw.metadata.annotations?.[names.status] === undefined) return raw;
  return compose(raw, { annotations, initContainers: initContainers.map(rawOf), containers: containers.map(rawOf), volumes });
}

/** The pod without the status annotation; the same object where it has none. */
export function withoutStatus({ raw, annotations }: PodView): RawObject {
  if (raw.metadata.annotations?.[names.status] === undefined) return raw;
  return { ...raw, metadata: withMembers(raw.metadata, { annotations }) };
}

export const rawOf = ({ raw }: { raw: RawObject }): RawObject => raw;

/** A list or map that becomes empty is removed; one that was sent empty stays. */
function withMembers(object: RawObject, members: Readonly<Record<string, readonly RawObject[] | StringMap>>): RawObject {
  const result: Record<string, unknown> = { ...object };
  for (const [key, value] of Object.entries(members)) {
    if (size(value) > 0) result[key] = value;
    else if (size(object[key]) > 0) Reflect.deleteProperty(result, key);
  }
  return result;
}

const size = (value: unknown): number => Object.keys(value ?? {}).length;
