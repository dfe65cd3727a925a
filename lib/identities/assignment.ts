import type { AzureIdentity, AzureIdentityBinding, ObjectMeta } from '../../api/kinds.ts';
import { annotations } from '../../api/names.ts';
import { keyOf } from '../kube/informer.ts';
import { at, isRecord, metadataOf, stringAt } from '../kube/objects.ts';
import { specOf } from '../kube/old-fields.ts';
import { interner, internMap, internText } from './intern.ts';
import type { Pod } from './pod.ts';

/** What is kept of an AzureAssignedIdentity. */
export interface Assignment {
  key: string;
  namespace: string;
  name: string;
  metadata: ObjectMeta;
  podKey: string;
  /** Undefined for an object that aad-pod-identity wrote. */
  podUid: string | undefined;
  node: string;
  identityKey: string;
  bindingKey: string;
  status: string;
  /** Fields of the identity and of the binding as they were when the object was written. Objects with the same references share them. */
  references: { identity: AzureIdentity | undefined; binding: AzureIdentityBinding | undefined };
}

/** `key`: of the object, where the caller has it; an equal string of its own would take twice the memory. */
export function assignmentOf(raw: unknown, key?: string): Assignment | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const references = internReferences({
    identity: referenceOf(at(raw, 'spec', 'azureIdentityRef')),
    binding: referenceOf(at(raw, 'spec', 'azureBindingRef')),
  });
  return {
    key: key ?? keyOf(metadata),
    namespace: internText(metadata.namespace),
    name: metadata.name,
    metadata: withInternedParts(metadata),
    podKey: keyOf({ namespace: stringAt(raw, 'spec', 'podNamespace') ?? '', name: stringAt(raw, 'spec', 'pod') ?? '' }),
    podUid: metadata.annotations?.[annotations.podUid],
    node: internText(stringAt(raw, 'spec', 'nodename') ?? ''),
    identityKey: keyOfReference(references.identity),
    bindingKey: keyOfReference(references.binding),
    status: stringAt(raw, 'status', 'status') ?? '',
    references,
  };
}

/** An object without a pod uid is from aad-pod-identity and counts for any pod of its name: docs/adr/0006-pod-uid-decides-ownership.md. */
export const belongsTo = (assignment: Assignment, pod: Pod): boolean => assignment.podUid === undefined || assignment.podUid === pod.uid;

/** Namespace of the identity, where the pod lies in another one. */
export function foreignAuthorOf({ identityKey, podKey }: Assignment): string | undefined {
  const [author, namespace] = [identityKey, podKey].map((key) => key.slice(0, key.indexOf('/')));
  return author === namespace ? undefined : author;
}

function referenceOf(raw: unknown): { metadata: ObjectMeta; spec?: Record<string, unknown> } | undefined {
  if (!isRecord(raw)) return undefined;
  const spec = specOf(raw);
  return { metadata: metadataOf(raw), ...(spec === undefined ? {} : { spec }) };
}

const keyOfReference = (reference: { metadata: ObjectMeta } | undefined): string =>
  internText(keyOf({ namespace: '', ...reference?.metadata }));

const internTexts = interner<string[]>();
const internReferences = interner<Assignment['references']>();

/** Their values differ from object to object. */
const uniqueAnnotations: ReadonlySet<string> = new Set([
  annotations.podUid,
  annotations.assignedAt,
  annotations.retryAt,
  annotations.reportedAt,
]);

function withInternedParts(metadata: ObjectMeta): ObjectMeta {
  const { labels, finalizers, creationTimestamp } = metadata;
  const interned = Object.entries(metadata.annotations ?? {}).map(([key, value]) => [
    key,
    uniqueAnnotations.has(key) ? value : internText(value),
  ]);
  return {
    ...metadata,
    annotations: Object.fromEntries(interned),
    ...(labels === undefined ? {} : { labels: internMap(labels) }),
    ...(finalizers === undefined ? {} : { finalizers: internTexts(finalizers) }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp: internText(creationTimestamp) }),
  };
}
