// Everything that `check pod` reads, at once where it can.
import type { KubeConfig } from '@kubernetes/client-node';
import { nodeNameLabel, proxyContainerName } from '../../api/names.ts';
import type { Assignment } from '../../lib/identities/assignment.ts';
import { assignmentOf } from '../../lib/identities/assignment.ts';
import type { Binding } from '../../lib/identities/binding.ts';
import { bindingOf } from '../../lib/identities/binding.ts';
import type { Exception } from '../../lib/identities/exceptions.ts';
import { exceptionOf } from '../../lib/identities/exceptions.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { at, isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import {
  azureAssignedIdentities,
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  events,
  namespaces,
  pods,
} from '../../lib/kube/resources.ts';
import type { InstallationParts } from './installation.ts';
import { mapRead, readInstallationParts } from './installation.ts';
import type { Read, Reader } from './reader.ts';
import type { SidecarView } from './sidecar-view.ts';
import { askSidecar } from './sidecar-view.ts';
import type { TrialAdmission } from './trial-admission.ts';
import { tryAdmission } from './trial-admission.ts';

/** What the API server has about a pod and its identities. */
export interface PodFacts {
  readonly namespace: string;
  readonly name: string;
  readonly pod: Read<unknown>;
  readonly namespaceObject: Read<unknown>;
  readonly bindings: Read<readonly Binding[]>;
  readonly identities: Read<readonly Identity[]>;
  readonly exceptions: Read<readonly Exception[]>;
  /** Those of the pod's node. */
  readonly assignments: Read<readonly Assignment[]>;
  /** Of the pod, or of whatever tries to make it; the latest is the last. */
  readonly events: readonly unknown[];
  /** Controllers above the pod, the nearest first. */
  readonly owners: readonly unknown[];
  readonly installation: InstallationParts;
  /** Undefined where the pod has no proxy that runs. */
  readonly sidecar: SidecarView | undefined;
  /** Undefined where the pod is injected, or cannot be. */
  readonly trial: TrialAdmission | undefined;
}

export interface PodFactsOptions {
  reader: Reader;
  client: KubeClient;
  config: KubeConfig;
  namespace: string;
  name: string;
  releaseNamespace: string | undefined;
  signal: AbortSignal;
}

export async function readPodFacts(options: PodFactsOptions): Promise<PodFacts> {
  const { reader, namespace, name } = options;
  const podRead = reader.get(pods, { namespace, name });
  const afterPod = podRead.then((pod) => readAfterPod(options, 'value' in pod ? pod.value : undefined));
  const [pod, rest, namespaceObject, bindings, identities, exceptions, installation] = await Promise.all([
    podRead,
    afterPod,
    reader.get(namespaces, { name: namespace }),
    listParsed(reader, azureIdentityBindings, bindingOf, namespace),
    listParsed(reader, azureIdentities, identityOf, namespace),
    listIn(reader, azurePodIdentityExceptions, exceptionOf, namespace),
    readInstallationParts(reader, options.releaseNamespace),
  ]);
  return { namespace, name, pod, namespaceObject, bindings, identities, exceptions, installation, ...rest };
}

type AfterPod = Pick<PodFacts, 'assignments' | 'events' | 'owners' | 'sidecar' | 'trial'>;

async function readAfterPod(options: PodFactsOptions, pod: unknown): Promise<AfterPod> {
  const { reader, namespace, name } = options;
  const node = stringAt(pod, 'spec', 'nodeName');
  const [assignments, found, owners, sidecar, trial] = await Promise.all([
    node === undefined ? absent : listParsed(reader, azureAssignedIdentities, assignmentOf, 'default', `${nodeNameLabel}=${node}`),
    readEvents(reader, namespace, name),
    readOwners(reader, namespace, pod),
    isProxyRunning(pod) ? askSidecar(options.config, { namespace, pod: name }) : undefined,
    pod !== undefined && !hasProxy(pod) ? tryAdmission(options.client, namespace, options.signal) : undefined,
  ]);
  return { assignments, events: found, owners, sidecar, trial };
}

const absent = { why: 'absent' } as const;

/** All of the cluster or, without the right to that, those of one namespace. */
async function listParsed<T>(
  reader: Reader,
  resource: Resource,
  parse: (raw: unknown) => T | undefined,
  fallbackNamespace: string,
  labelSelector?: string,
): Promise<Read<readonly T[]>> {
  const selector = labelSelector === undefined ? {} : { labelSelector };
  const all = await reader.list(resource, selector);
  const read = 'why' in all && all.why === 'denied' ? await reader.list(resource, { ...selector, namespace: fallbackNamespace }) : all;
  return mapRead(read, (items) => items.flatMap((raw) => parse(raw) ?? []));
}

const listIn = async <T>(
  reader: Reader,
  resource: Resource,
  parse: (raw: unknown) => T | undefined,
  namespace: string,
): Promise<Read<readonly T[]>> => mapRead(await reader.list(resource, { namespace }), (items) => items.flatMap((raw) => parse(raw) ?? []));

/** Events of the pod. A pod that is refused has none; then those of the owners say why. */
async function readEvents(reader: Reader, namespace: string, name: string): Promise<readonly unknown[]> {
  const read = await reader.list(events, { namespace });
  if (!('value' in read)) return [];
  const found = read.value.filter((event) => {
    const regarding = stringAt(event, 'regarding', 'name') ?? '';
    return (
      regarding === name ||
      (stringAt(event, 'reason') === 'FailedCreate' &&
        (name === regarding || name.startsWith(`${regarding}-`) || regarding.startsWith(`${name}-`)))
    );
  });
  return found.toSorted((a, b) => lastSeen(a) - lastSeen(b));
}

/** Recorders of core/v1 write the deprecated field only. */
const lastSeen = (event: unknown): number =>
  Date.parse(
    stringAt(event, 'series', 'lastObservedTime') ?? stringAt(event, 'eventTime') ?? stringAt(event, 'deprecatedLastTimestamp') ?? '',
  ) || 0;

const replicaSets: Resource = { group: 'apps', version: 'v1', plural: 'replicasets', kind: 'ReplicaSet' };
const workloads: Readonly<Record<string, Resource>> = {
  ReplicaSet: replicaSets,
  Deployment: { ...replicaSets, plural: 'deployments', kind: 'Deployment' },
  StatefulSet: { ...replicaSets, plural: 'statefulsets', kind: 'StatefulSet' },
  DaemonSet: { ...replicaSets, plural: 'daemonsets', kind: 'DaemonSet' },
  Job: { group: 'batch', version: 'v1', plural: 'jobs', kind: 'Job' },
  CronJob: { group: 'batch', version: 'v1', plural: 'cronjobs', kind: 'CronJob' },
};
const mostOwners = 4;

async function readOwners(reader: Reader, namespace: string, pod: unknown): Promise<readonly unknown[]> {
  const owners: unknown[] = [];
  for (let object = pod; owners.length < mostOwners; ) {
    const reference = controllerOf(object);
    const resource = reference === undefined ? undefined : workloads[reference.kind];
    if (reference === undefined || resource === undefined) break;
    const read = await reader.get(resource, { namespace, name: reference.name });
    if (!('value' in read)) break;
    owners.push(read.value);
    object = read.value;
  }
  return owners;
}

function controllerOf(object: unknown): { kind: string; name: string } | undefined {
  const references = at(object, 'metadata', 'ownerReferences');
  const found = Array.isArray(references) ? references.filter(isRecord).find((reference) => reference.controller === true) : undefined;
  const [kind, name] = [stringAt(found, 'kind'), stringAt(found, 'name')];
  return kind === undefined || name === undefined ? undefined : { kind, name };
}

/** Containers and init containers of a pod, or their statuses, in one list. */
export function partsOf(pod: unknown, place: 'spec' | 'status'): Record<string, unknown>[] {
  const fields = place === 'spec' ? ['initContainers', 'containers'] : ['initContainerStatuses', 'containerStatuses'];
  return fields.flatMap((field) => at(pod, place, field)).filter(isRecord);
}

export const hasProxy = (pod: unknown): boolean => partsOf(pod, 'spec').some((container) => container.name === proxyContainerName);

export function isProxyRunning(pod: unknown): boolean {
  const status = partsOf(pod, 'status').find((container) => container.name === proxyContainerName);
  return at(status, 'state', 'running') !== undefined && metadataOf(pod).deletionTimestamp === undefined;
}
