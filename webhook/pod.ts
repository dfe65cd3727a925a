// The pod as raw JSON. Only the shape that decide and render walk through is checked; everything else passes through untouched, so that
// fields of Kubernetes versions we do not know survive (spec/injection.md 2.26).
import { isRecord } from '../lib/kube/objects.ts';

export type RawObject = Record<string, unknown>;
/** Optional members may also be null, as JSON writers that do not omit empty fields send them. */
type Optional<T> = T | null | undefined;

export interface PodSpec extends RawObject {
  /** Null where the user forgot them: the API server asks us before it checks. */
  containers?: Optional<RawObject[]>;
  initContainers?: Optional<RawObject[]>;
  ephemeralContainers?: Optional<RawObject[]>;
  volumes?: Optional<RawObject[]>;
}

export interface Pod extends RawObject {
  metadata: RawObject & { annotations?: Optional<Record<string, string>>; labels?: Optional<Record<string, string>> };
  spec: PodSpec;
}

/** What is wrong with the value as a Pod, in one line; undefined for a pod. */
export function podProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return 'it is not an object';
  const { metadata, spec } = value;
  if (!isRecord(metadata)) return 'metadata is not an object';
  for (const key of ['annotations', 'labels']) {
    const map = metadata[key];
    if (!isAbsent(map) && !(isRecord(map) && Object.values(map).every((item) => typeof item === 'string')))
      return `metadata.${key} is not a map of strings`;
  }
  if (!isRecord(spec)) return 'spec is not an object';
  for (const key of ['containers', 'initContainers', 'ephemeralContainers', 'volumes']) {
    const list = spec[key];
    if (isAbsent(list)) continue;
    if (!(Array.isArray(list) && list.every(isRecord))) return `spec.${key} is not a list of objects`;
  }
  return undefined;
}

export function isPod(value: unknown): value is Pod {
  return podProblem(value) === undefined;
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null;

export interface PlacedContainer {
  /** As a user finds it in the manifest: `spec.initContainers[name]`. */
  place: string;
  container: RawObject;
}

/** Containers of all kinds that the pod itself declares. */
export function allContainers(pod: Pod): PlacedContainer[] {
  const placed = (field: 'initContainers' | 'containers' | 'ephemeralContainers') =>
    (pod.spec[field] ?? []).map((container) => ({ place: `spec.${field}[${nameOf(container)}]`, container }));
  return [...placed('initContainers'), ...placed('containers'), ...placed('ephemeralContainers')];
}

export function nameOf(item: RawObject): string {
  return typeof item.name === 'string' ? item.name : '';
}

export function annotationOf(pod: Pod, key: string): string | undefined {
  const map = pod.metadata.annotations;
  return isRecord(map) && Object.hasOwn(map, key) ? map[key] : undefined;
}

export function labelOf(pod: Pod, key: string): string | undefined {
  const map = pod.metadata.labels;
  return isRecord(map) && Object.hasOwn(map, key) ? map[key] : undefined;
}
