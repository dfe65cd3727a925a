// A pod as JSON. Only the shape that the decision and the injection walk through is checked; everything else passes through untouched, so
// that fields of newer Kubernetes versions survive.
import { isRecord } from '../../../common/records.ts';

export type RawObject = Readonly<Record<string, unknown>>;
export type StringMap = Readonly<Record<string, string>>;
/** Optional members may be null: JSON writers that do not omit empty fields send them. */
type Optional<T> = T | null | undefined;

export interface RawPodSpec extends RawObject {
  /** Null where the user forgot them: the API server calls admission webhooks before it validates. */
  readonly containers?: Optional<readonly RawObject[]>;
  readonly initContainers?: Optional<readonly RawObject[]>;
  readonly ephemeralContainers?: Optional<readonly RawObject[]>;
  readonly volumes?: Optional<readonly RawObject[]>;
}

export interface RawPod extends RawObject {
  readonly metadata: RawObject & { readonly annotations?: Optional<StringMap>; readonly labels?: Optional<StringMap> };
  readonly spec: RawPodSpec;
}

/** The value is not a pod. The message is one line. */
export class PodShapeError extends Error {
  override readonly name = 'PodShapeError';
}

/** Returns the same value. Throws {@link PodShapeError}. */
export function parseRawPod(value: unknown): RawPod {
  assertRawPod(value);
  return value;
}

function assertRawPod(value: unknown): asserts value is RawPod {
  if (!isRecord(value)) throw new PodShapeError('it is not an object');
  const { metadata, spec } = value;
  if (!isRecord(metadata)) throw new PodShapeError('metadata is not an object');
  for (const key of ['annotations', 'labels']) checkMap(metadata[key], `metadata.${key}`);
  if (!isRecord(spec)) throw new PodShapeError('spec is not an object');
  for (const key of ['containers', 'initContainers', 'ephemeralContainers', 'volumes'])
    if (!isAbsent(spec[key]) && !isObjectList(spec[key])) throw new PodShapeError(`spec.${key} is not a list of objects`);
}

/** The API server refuses more annotations, and calls webhooks before. The maps are copied and compared: 3 MB of them would take a second. */
const maxMapLength = 256 * 1024;

function checkMap(value: unknown, place: string): void {
  if (isAbsent(value)) return;
  if (!isRecord(value)) throw new PodShapeError(`${place} is not a map of strings`);
  let length = 0;
  for (const key in value) {
    const item = value[key];
    if (typeof item !== 'string') throw new PodShapeError(`${place} is not a map of strings`);
    length += key.length + item.length;
    if (length > maxMapLength) throw new PodShapeError(`${place} has more than ${maxMapLength} bytes`);
  }
}

const isAbsent = (value: unknown): boolean => value === undefined || value === null;
const isObjectList = (value: unknown): boolean => Array.isArray(value) && value.every(isRecord);

/** Value of `name`, empty where it has none. */
export function nameOf(item: RawObject): string {
  return typeof item.name === 'string' ? item.name : '';
}
