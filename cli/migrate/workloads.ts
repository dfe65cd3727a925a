// What makes labelled pods: templates of workloads, and pods that none of them made. Pure.
import { bindingLabel } from '../../api/names.ts';
import type { Pod } from '../../lib/identities/pod.ts';
import { podOf } from '../../lib/identities/pod.ts';
import { at, isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';

/** Something labelled, with the pod that it makes. */
export interface Workload {
  kind: string;
  namespace: string;
  name: string;
  pod: Pod;
  /** The pod as JSON, under the name of the workload. */
  raw: unknown;
}

const templateOf: Readonly<Record<string, readonly string[]>> = {
  Deployment: ['spec', 'template'],
  StatefulSet: ['spec', 'template'],
  DaemonSet: ['spec', 'template'],
  ReplicaSet: ['spec', 'template'],
  ReplicationController: ['spec', 'template'],
  Job: ['spec', 'template'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template'],
};

export const isWorkloadKind = (kind: string): boolean => kind === 'Pod' || Object.hasOwn(templateOf, kind);

/** The template of the pods of a workload; undefined for another kind. */
export function podTemplateOf(object: unknown): unknown {
  const path = templateOf[stringAt(object, 'kind') ?? ''];
  return path === undefined ? undefined : at(object, ...path);
}

export interface Workloads {
  labelled: Workload[];
  /** `Kind namespace/name` of those that have the label themselves, and not in their template. */
  labelledOnlyThemselves: string[];
}

/** The objects have a namespace. A pod or workload that another one of them made stands for nothing. */
export function workloadsOf(objects: readonly unknown[]): Workloads {
  const templates = objects.filter((object) => podTemplateOf(object) !== undefined);
  const known = new Set(templates.map(idOf));
  const labelled = objects.filter((object) => !hasOwnerIn(object, known)).flatMap((object) => workloadOf(object) ?? []);
  const labelledOnlyThemselves = templates
    .filter((object) => !hasOwnerIn(object, known) && isLabelled(object) && !isLabelled(podTemplateOf(object)))
    .map((object) => `${stringAt(object, 'kind')} ${metadataOf(object).namespace}/${metadataOf(object).name}`);
  return { labelled, labelledOnlyThemselves };
}

export const describeWorkload = ({ kind, namespace, name }: Workload): string => `${kind} ${namespace}/${name}`;

const isLabelled = (object: unknown): boolean => metadataOf(object).labels?.[bindingLabel] !== undefined;

function workloadOf(object: unknown): Workload | undefined {
  const kind = stringAt(object, 'kind') ?? '';
  const template = kind === 'Pod' ? object : podTemplateOf(object);
  const { namespace, name } = metadataOf(object);
  if (namespace === undefined || name === undefined || !isLabelled(template)) return undefined;
  const raw = {
    metadata: { ...recordAt(template, 'metadata'), namespace, name, uid: '' },
    spec: recordAt(template, 'spec'),
    status: at(object, 'status'),
  };
  const pod = podOf(raw);
  return pod === undefined || (kind === 'Pod' && pod.finished) ? undefined : { kind, namespace, name, pod, raw };
}

function recordAt(value: unknown, key: string): Record<string, unknown> {
  const found = at(value, key);
  return isRecord(found) ? found : {};
}

const idOf = (object: unknown): string => `${stringAt(object, 'kind')} ${metadataOf(object).namespace}/${metadataOf(object).name}`;

/** A ReplicaSet has the name of its Deployment and the hash of its pods' label. So its pods name the Deployment without the ReplicaSet. */
function hasOwnerIn(object: unknown, known: ReadonlySet<string>): boolean {
  const references = at(object, 'metadata', 'ownerReferences');
  const owner = Array.isArray(references) ? references.filter(isRecord).find(({ controller }) => controller === true) : undefined;
  if (owner === undefined) return false;
  const { namespace, labels } = metadataOf(object);
  const hash = labels?.['pod-template-hash'];
  const name = stringAt(owner, 'name') ?? '';
  const deployment = hash !== undefined && name.endsWith(`-${hash}`) ? name.slice(0, -hash.length - 1) : undefined;
  return known.has(`${stringAt(owner, 'kind')} ${namespace}/${name}`) || known.has(`Deployment ${namespace}/${deployment}`);
}
