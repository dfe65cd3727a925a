// Puts a pod together from its JSON and other labels, annotations, containers and volumes. Every other field stays as it was sent.
import { injectedLabel, annotations as names } from '../../api/names.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject, RawPod, StringMap } from '../../lib/identities/decision/raw-pod.ts';

export interface PodParts {
  labels: StringMap;
  annotations: StringMap;
  initContainers: readonly RawObject[];
  containers: readonly RawObject[];
  volumes: readonly RawObject[];
}

export function compose(raw: RawPod, { labels, annotations, ...lists }: PodParts): RawObject {
  return { ...raw, metadata: withMembers(raw.metadata, { labels, annotations }), spec: withMembers(raw.spec, lists) };
}

/** The pod without what an earlier admission injected; the same object where there is none. */
export function strip(pod: PodView): RawObject {
  if (!isMarked(pod) && !pod.hasInjectedParts) return pod.raw;
  const { raw, labels, annotations, initContainers, containers, volumes } = pod;
  return compose(raw, { labels, annotations, initContainers: initContainers.map(rawOf), containers: containers.map(rawOf), volumes });
}

/** The pod without status annotation and marker label; the same object where it has neither. */
export function withoutMarks(pod: PodView): RawObject {
  if (!isMarked(pod)) return pod.raw;
  const { raw, labels, annotations } = pod;
  return { ...raw, metadata: withMembers(raw.metadata, { labels, annotations }) };
}

const isMarked = ({ raw: { metadata } }: PodView): boolean =>
  metadata.annotations?.[names.status] !== undefined || metadata.labels?.[injectedLabel] !== undefined;

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
