// What the controller keeps of each watched object, picked from the raw JSON at ingestion.

import type { AzureIdentity, AzureIdentityBinding, IdentityType, ObjectMeta } from '../../api/kinds.ts';
import { annotations, apiGroup, apiVersion, bindingLabel } from '../../api/names.ts';
import { identityIdOf } from '../azure/resource-ids.ts';
import { keyOf } from '../kube/informer.ts';
import { at, isRecord, metadataOf, stringAt, stringsAt } from '../kube/objects.ts';
import { specOf } from '../kube/old-fields.ts';
import { podLabelsOf } from './exceptions.ts';
import { interner } from './intern.ts';
import { isWindows } from './windows.ts';

export interface Pod {
  key: string;
  namespace: string;
  name: string;
  uid: string;
  /** Value of the binding label. */
  selector: string;
  labels: Record<string, string>;
  /** Empty until scheduled. */
  node: string;
  /** Succeeded or Failed: its containers are gone for good. */
  finished: boolean;
  injected: boolean;
  /** Of what injected it; empty where that is not readable. */
  sidecarVersion: string;
  sidecarTemplate: string;
  /** Annotated `inject: "false"`. */
  optedOut: boolean;
  /** A static pod's likeness in the API server. */
  mirror: boolean;
  windows: boolean;
  hostNetwork: boolean;
  defaultIdentity: string | undefined;
}

export interface Identity {
  key: string;
  namespace: string;
  name: string;
  namespaced: boolean;
  type: IdentityType | undefined;
  resourceID: string;
  clientID: string;
  /** Lower-case ARM id; undefined for another type than 0 and for a resourceID that is none. */
  identityId: string | undefined;
  tenantID: string;
  /** Only of type 1. */
  auxiliaryTenantIDs: string[];
  /** As it goes into an AzureAssignedIdentity: metadata without managed fields, and spec. */
  object: AzureIdentity;
}

export interface Binding {
  key: string;
  namespace: string;
  name: string;
  identityKey: string;
  selector: string;
  object: AzureIdentityBinding;
}

export interface Exception {
  key: string;
  namespace: string;
  name: string;
  podLabels: Record<string, string>;
}

export interface Node {
  name: string;
  providerID: string;
}

/** An AzureAssignedIdentity. */
export interface Assignment {
  key: string;
  namespace: string;
  name: string;
  metadata: ObjectMeta;
  podKey: string;
  /** Undefined on objects that aad-pod-identity wrote. */
  podUid: string | undefined;
  node: string;
  identityKey: string;
  bindingKey: string;
  status: string;
  /** What it was made from. One object for all that are made from the same. */
  references: { identity: AzureIdentity | undefined; binding: AzureIdentityBinding | undefined };
}

/** `key`: of the object, where the caller knows it; two equal strings would take twice the space. */
export function podOf(raw: unknown, key?: string): Pod | undefined {
  const metadata = metadataOf(raw);
  const selector = metadata.labels?.[bindingLabel];
  if (metadata.namespace === undefined || metadata.name === undefined || metadata.uid === undefined || selector === undefined)
    return undefined;
  const phase = stringAt(raw, 'status', 'phase');
  const injection = metadata.annotations?.[annotations.status];
  const injected = injection === undefined ? undefined : parseLoosely(injection);
  return {
    key: key ?? keyOf(metadata),
    namespace: shareText(metadata.namespace),
    name: metadata.name,
    uid: metadata.uid,
    selector: shareText(selector),
    labels: shareMap(metadata.labels ?? {}),
    node: shareText(stringAt(raw, 'spec', 'nodeName') ?? ''),
    finished: phase === 'Succeeded' || phase === 'Failed',
    injected: injection !== undefined,
    sidecarVersion: shareText(stringAt(injected, 'version') ?? ''),
    sidecarTemplate: shareText(stringAt(injected, 'templateHash') ?? ''),
    optedOut: metadata.annotations?.[annotations.inject] === 'false',
    mirror: metadata.annotations?.['kubernetes.io/config.mirror'] !== undefined,
    windows: isWindows(raw),
    hostNetwork: at(raw, 'spec', 'hostNetwork') === true,
    defaultIdentity: metadata.annotations?.[annotations.defaultIdentity],
  };
}

/** Undefined for what is no JSON: the annotation is the webhook's, but anybody may write it. */
function parseLoosely(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function identityOf(raw: unknown): Identity | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const spec = specOf(raw);
  const type = at(spec, 'type') ?? 0;
  const resourceID = stringAt(spec, 'resourceID')?.trim() ?? '';
  return {
    key: keyOf(metadata),
    namespace: metadata.namespace,
    name: metadata.name,
    namespaced: metadata.annotations?.[annotations.behavior] === 'namespaced',
    type: type === 0 || type === 1 || type === 2 ? type : undefined,
    resourceID,
    clientID: stringAt(spec, 'clientID')?.trim() ?? '',
    identityId: type === 0 ? identityIdOf(resourceID) : undefined,
    tenantID: stringAt(spec, 'tenantID') ?? '',
    auxiliaryTenantIDs: type === 1 ? stringsAt(spec, 'auxiliaryTenantIDs') : [],
    object: { apiVersion: `${apiGroup}/${apiVersion}`, kind: 'AzureIdentity', metadata, ...(spec === undefined ? {} : { spec }) },
  };
}

export function bindingOf(raw: unknown): Binding | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const spec = specOf(raw);
  return {
    key: keyOf(metadata),
    namespace: metadata.namespace,
    name: metadata.name,
    identityKey: `${metadata.namespace}/${stringAt(spec, 'azureIdentity') ?? ''}`,
    selector: stringAt(spec, 'selector') ?? '',
    object: { apiVersion: `${apiGroup}/${apiVersion}`, kind: 'AzureIdentityBinding', metadata, ...(spec === undefined ? {} : { spec }) },
  };
}

export function exceptionOf(raw: unknown): Exception | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  return {
    key: keyOf(metadata),
    namespace: metadata.namespace,
    name: metadata.name,
    podLabels: podLabelsOf(raw),
  };
}

export function nodeOf(raw: unknown): Node | undefined {
  const { name } = metadataOf(raw);
  return name === undefined ? undefined : { name, providerID: stringAt(raw, 'spec', 'providerID') ?? '' };
}

/** `key` as for a pod. */
export function assignmentOf(raw: unknown, key?: string): Assignment | undefined {
  const metadata = metadataOf(raw);
  if (metadata.namespace === undefined || metadata.name === undefined) return undefined;
  const references = shareReferences({
    identity: referenceOf(at(raw, 'spec', 'azureIdentityRef')),
    binding: referenceOf(at(raw, 'spec', 'azureBindingRef')),
  });
  return {
    key: key ?? keyOf(metadata),
    namespace: shareText(metadata.namespace),
    name: metadata.name,
    metadata: withSharedParts(metadata),
    podKey: keyOf({ namespace: stringAt(raw, 'spec', 'podNamespace') ?? '', name: stringAt(raw, 'spec', 'pod') ?? '' }),
    podUid: metadata.annotations?.[annotations.podUid],
    node: shareText(stringAt(raw, 'spec', 'nodename') ?? ''),
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
  shareText(keyOf({ namespace: '', ...reference?.metadata }));

const shareText = interner<string>();
const shareMap = interner<Record<string, string>>();
const shareTexts = interner<string[]>();
const shareReferences = interner<Assignment['references']>();

const ofOneObject: ReadonlySet<string> = new Set([annotations.podUid, annotations.assignedAt, annotations.retryAt, annotations.reportedAt]);

function withSharedParts(metadata: ObjectMeta): ObjectMeta {
  const { labels, finalizers, creationTimestamp } = metadata;
  const notes = Object.entries(metadata.annotations ?? {}).map(([key, value]) => [key, ofOneObject.has(key) ? value : shareText(value)]);
  return {
    ...metadata,
    annotations: Object.fromEntries(notes),
    ...(labels === undefined ? {} : { labels: shareMap(labels) }),
    ...(finalizers === undefined ? {} : { finalizers: shareTexts(finalizers) }),
    ...(creationTimestamp === undefined ? {} : { creationTimestamp: shareText(creationTimestamp) }),
  };
}
