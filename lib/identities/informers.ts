// The informers of a replica and the indexes over them. The broker needs no nodes.
import { bindingLabel } from '../../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import type { Informer } from '../kube/informer.ts';
import { startInformer } from '../kube/informer.ts';
import type { Resource } from '../kube/resources.ts';
import {
  azureAssignedIdentities,
  azureIdentities,
  azureIdentityBindings,
  azurePodIdentityExceptions,
  namespaces,
  nodes,
  pods,
} from '../kube/resources.ts';
import type { Logger } from '../log.ts';
import type { Assignment } from './assignment.ts';
import { assignmentOf, foreignAuthorOf } from './assignment.ts';
import type { Binding } from './binding.ts';
import { bindingOf } from './binding.ts';
import { countBy } from './count-by.ts';
import type { Exception } from './exceptions.ts';
import { exceptionOf } from './exceptions.ts';
import type { FederationRecords, ListedRecord } from './federation/records.ts';
import { indexFederationRecords, noFederationRecords, watchFederationRecords } from './federation/records.ts';
import type { Identity } from './identity.ts';
import { identityOf } from './identity.ts';
import { indexBy } from './index-by.ts';
import type { MatchRules } from './match.ts';
import type { MatchIndex } from './match-index.ts';
import { indexMatches } from './match-index.ts';
import type { Namespace } from './namespace.ts';
import { namespaceOf } from './namespace.ts';
import type { Node } from './node.ts';
import { nodeOf } from './node.ts';
import type { Pod } from './pod.ts';
import { podOf } from './pod.ts';
import type { IdentityPolicy } from './policy.ts';
import { selectsByLabels } from './policy.ts';

interface IdentitySources {
  pods: Informer<Pod>;
  identities: Informer<Identity>;
  bindings: Informer<Binding>;
  exceptions: Informer<Exception>;
  assignments: Informer<Assignment>;
  /** Only where the policy selects namespaces by their labels: not every installation may read namespaces. */
  namespaces?: Informer<Namespace>;
  /** Not in managed mode, in which nobody writes them. */
  federationRecords?: Informer<ListedRecord>;
}

interface Indexes {
  matches: MatchIndex;
  federation: FederationRecords;
  /** Those that are being deleted come last. */
  assignmentsOf(podKey: string): Assignment[];
  assignmentOf(podKey: string, identityKey: string): Assignment | undefined;
  podsOfNode(node: string): string[];
  /** AzureAssignedIdentities that give identities of the namespace to pods of other namespaces. */
  foreignAssignmentsOf(namespace: string): number;
  readonly synced: boolean;
  /** Plural names of the kinds whose first list is not in yet. */
  waitingFor(): string[];
  whenSynced(): Promise<void>;
  stop(): Promise<void>;
}

/** Which identities a pod has, and how they stand. */
export type IdentityInformers = IdentitySources & Indexes;
export type Informers = IdentityInformers & { nodes: Informer<Node> };

interface Options {
  client: KubeClient;
  log: Logger;
  rules: MatchRules;
  /** Undefined: every identity is allowed. */
  policy: IdentityPolicy | undefined;
  /** The release namespace, which holds the federation records; undefined in managed mode. */
  recordNamespace: string | undefined;
}

export function startInformers(options: Options): Informers {
  const { client, log, rules, policy } = options;
  const sources = { ...startSources(options), nodes: startInformer({ client, log, resource: nodes, project: nodeOf }) };
  return indexInformers(sources, rules, policy);
}

export function startIdentityInformers(options: Options): IdentityInformers {
  return indexInformers(startSources(options), options.rules, options.policy);
}

function startSources({ client, log, policy, recordNamespace: namespace }: Options): IdentitySources {
  const watch = <T>(resource: Resource, project: (raw: unknown, key: string) => T | undefined, labelSelector?: string): Informer<T> =>
    startInformer({ client, log, resource, project, ...(labelSelector === undefined ? {} : { labelSelector }) });
  return {
    pods: watch(pods, podOf, bindingLabel),
    identities: watch(azureIdentities, identityOf),
    bindings: watch(azureIdentityBindings, bindingOf),
    exceptions: watch(azurePodIdentityExceptions, exceptionOf),
    assignments: watch(azureAssignedIdentities, assignmentOf),
    ...(selectsByLabels(policy) ? { namespaces: watch(namespaces, namespaceOf) } : {}),
    ...(namespace === undefined ? {} : { federationRecords: watchFederationRecords({ client, log, namespace }) }),
  };
}

export function indexInformers<S extends IdentitySources>(sources: S, rules: MatchRules, policy?: IdentityPolicy): S & Indexes {
  const all: Informer<unknown>[] = Object.values(sources);
  // The indexes subscribe before anybody else can, so that every listener finds them up to date.
  const federation = sources.federationRecords === undefined ? noFederationRecords : indexFederationRecords(sources.federationRecords);
  const matches = indexMatches({ ...sources, federation }, rules, policy);
  const assignmentsByPod = indexBy(sources.assignments, (assignment) => assignment.podKey);
  const foreignAssignments = countBy(sources.assignments, foreignAuthorOf);
  const podsByNode = indexBy(sources.pods, (pod) => pod.node);

  const isDeleted = (assignment: Assignment): number => (assignment.metadata.deletionTimestamp === undefined ? 0 : 1);
  // An object that a finalizer of somebody else holds must not hide the one that takes its place.
  const assignmentsOf = (podKey: string) =>
    [...assignmentsByPod(podKey)].flatMap((key) => sources.assignments.get(key) ?? []).sort((a, b) => isDeleted(a) - isDeleted(b));

  return {
    ...sources,
    matches,
    federation,
    assignmentsOf,
    assignmentOf: (podKey, identityKey) => assignmentsOf(podKey).find((assignment) => assignment.identityKey === identityKey),
    podsOfNode: (node) => [...podsByNode(node)],
    foreignAssignmentsOf: foreignAssignments,
    get synced() {
      return all.every((informer) => informer.synced);
    },
    waitingFor: () => all.filter((informer) => !informer.synced).map((informer) => informer.resource.plural),
    whenSynced: async () => {
      await Promise.all(all.map((informer) => informer.whenSynced()));
    },
    stop: async () => {
      await Promise.all(all.map((informer) => informer.stop()));
    },
  };
}
