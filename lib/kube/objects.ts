// Reading objects of the API server without trusting their shape.
import type { ObjectMeta } from '../../api/kinds.ts';
import { at, stringAt, stringMapAt } from '../../common/records.ts';

export { at, isRecord, stringAt, stringMapAt, stringsAt } from '../../common/records.ts';

/** The parts of `metadata` that this system reads; only those present are set. */
export function metadataOf(object: unknown): ObjectMeta {
  const metadata: ObjectMeta = {};
  for (const key of ['name', 'namespace', 'uid', 'resourceVersion', 'creationTimestamp', 'deletionTimestamp'] as const) {
    const value = stringAt(object, 'metadata', key);
    if (value !== undefined) metadata[key] = value;
  }
  const labels = stringMapAt(object, 'metadata', 'labels');
  if (Object.keys(labels).length > 0) metadata.labels = labels;
  const annotations = stringMapAt(object, 'metadata', 'annotations');
  if (Object.keys(annotations).length > 0) metadata.annotations = annotations;
  const finalizers = at(object, 'metadata', 'finalizers');
  if (Array.isArray(finalizers)) metadata.finalizers = finalizers.filter((item): item is string => typeof item === 'string');
  return metadata;
}
