// What a move is judged by, from the objects of a cluster or of manifests. Pure.
import { annotations, apiGroup } from '../../api/names.ts';
import type { Binding } from '../../lib/identities/binding.ts';
import { bindingOf } from '../../lib/identities/binding.ts';
import { pickNamespaceAnnotations } from '../../lib/identities/decision/annotations.ts';
import type { NamespaceFacts } from '../../lib/identities/decision/decide.ts';
import type { Exception } from '../../lib/identities/exceptions.ts';
import { exceptionOf } from '../../lib/identities/exceptions.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import type { MatchRules } from '../../lib/identities/match.ts';
import { isExcludedNamespace, namespaceOf } from '../../lib/identities/namespace.ts';
import { isRecord, metadataOf, stringAt, stringMapAt } from '../../lib/kube/objects.ts';
import type { UpstreamProgram } from './upstream.ts';
import { isOfAks, programOf, settingsOf } from './upstream.ts';
import type { Workload } from './workloads.ts';
import { isWorkloadKind, workloadsOf } from './workloads.ts';

export interface MigrationInput {
  readonly identities: readonly Identity[];
  readonly bindings: readonly Binding[];
  readonly exceptions: readonly Exception[];
  readonly workloads: readonly Workload[];
  readonly labelledOnlyThemselves: readonly string[];
  readonly namespaces: ReadonlyMap<string, NamespaceKnowledge>;
  /** MIC and NMI. */
  readonly programs: readonly UpstreamProgram[];
  /** The cluster has the ClusterRoles for users of aad-pod-identity. */
  readonly hasUserRoles: boolean;
  /** AKS runs NMI: docs/reference/aad-pod-identity.md#the-add-on-of-aks. */
  readonly aksAddon: boolean;
  /** How MIC matches. */
  readonly rules: MatchRules;
  /** How many objects of which kind do not matter for the move. */
  readonly otherKinds: ReadonlyMap<string, number>;
}

export interface NamespaceKnowledge extends NamespaceFacts {
  /** The API server calls no webhook of ours for it. */
  readonly excluded: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

/** `defaultNamespace`: of objects that name none, as for `kubectl apply`. */
export function inputOf(raw: readonly unknown[], defaultNamespace: string): MigrationInput {
  const objects = [
    ...new Map(raw.map((object) => withNamespace(object, defaultNamespace)).map((object) => [keyOf(object), object])).values(),
  ];
  const ours = (kind: string) => objects.filter((object) => isOurs(object) && stringAt(object, 'kind') === kind);
  const programs = objects.flatMap((object) => programOf(object) ?? []).sort((a, b) => compare(a.component, b.component));
  const { labelled, labelledOnlyThemselves } = workloadsOf(objects.filter((object) => programOf(object) === undefined));
  const { forceNamespaced, managed } = settingsOf(programs);
  return {
    identities: byKey(ours('AzureIdentity').flatMap((object) => identityOf(object) ?? [])),
    bindings: byKey(ours('AzureIdentityBinding').flatMap((object) => bindingOf(object) ?? [])),
    exceptions: byKey(ours('AzurePodIdentityException').flatMap((object) => exceptionOf(object) ?? [])),
    workloads: labelled.sort((a, b) => compare(sortKey(a), sortKey(b))),
    labelledOnlyThemselves: labelledOnlyThemselves.sort(compare),
    namespaces: new Map(
      objects
        .filter((object) => stringAt(object, 'kind') === 'Namespace')
        .map((object) => knowledgeOf(object))
        .map((known) => [known.name, known]),
    ),
    programs,
    hasUserRoles: objects.some((object) => stringAt(object, 'kind') === 'ClusterRole' && metadataOf(object).name === userRoleName),
    aksAddon: programs.some(({ isAksAddon }) => isAksAddon) || objects.some((object) => isOurs(object) && isOfAks(object)),
    rules: { forceNamespaced: forceNamespaced || managed, bindingNamespaces: [] },
    otherKinds: countOthers(objects),
  };
}

/** Of the chart of aad-pod-identity, where its values do not say another name. */
export const userRoleName = 'aad-pod-identity-view';

/** What is known of a namespace; its name where nothing else is. */
export const namespaceIn = ({ namespaces }: MigrationInput, name: string): NamespaceKnowledge =>
  namespaces.get(name) ?? { name, labels: {}, annotations: {}, excluded: isExcludedNamespace(name, {}) };

function knowledgeOf(raw: unknown): NamespaceKnowledge {
  const { name, labels } = namespaceOf(raw) ?? { name: '', labels: {} };
  const own = stringMapAt(raw, 'metadata', 'annotations');
  return {
    name,
    labels,
    annotations: own,
    excluded: isExcludedNamespace(name, labels),
    podSecurity: labels['pod-security.kubernetes.io/enforce'],
    interception: own[annotations.interception],
    defaults: pickNamespaceAnnotations(own),
  };
}

const clusterScopedKinds: ReadonlySet<string> = new Set(['Namespace', 'ClusterRole', 'ClusterRoleBinding', 'CustomResourceDefinition']);

function withNamespace(object: unknown, namespace: string): unknown {
  if (!isRecord(object) || clusterScopedKinds.has(String(object.kind)) || metadataOf(object).namespace !== undefined) return object;
  return { ...object, metadata: { ...(isRecord(object.metadata) ? object.metadata : {}), namespace } };
}

const keyOf = (object: unknown): string => {
  const [group = ''] = (stringAt(object, 'apiVersion') ?? '').split('/');
  return `${group} ${stringAt(object, 'kind')} ${metadataOf(object).namespace}/${metadataOf(object).name}`;
};

const isOurs = (object: unknown): boolean => stringAt(object, 'apiVersion')?.startsWith(`${apiGroup}/`) === true;

/** AzureAssignedIdentities are the controllers' own. */
function countOthers(objects: readonly unknown[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const object of objects) {
    const kind = stringAt(object, 'kind') ?? '';
    if (isOurs(object) || isWorkloadKind(kind) || kind === 'Namespace') continue;
    counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

const byKey = <T extends { key: string }>(items: T[]): T[] => items.sort((a, b) => compare(a.key, b.key));
const sortKey = ({ namespace, kind, name }: Workload): string => `${namespace}/${kind}/${name}`;
const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
