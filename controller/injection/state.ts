// Whether a labelled pod has a sidecar, and why not. Pure, from what the webhook wrote on the pod.
import type { ReasonFor } from '../../api/decisions.ts';
import { skipReason } from '../../lib/identities/decision/skip.ts';
import type { Pod } from '../../lib/identities/pod.ts';

/** Why a pod has no sidecar: a reason of the webhook to skip it, or `not_injected` for a pod that the webhook never saw. */
export type UninjectedReason = ReasonFor<'skip'> | 'excluded_namespace' | 'not_injected';

/** The namespaces that the webhook is never called for (`namespaceSelector` of its configuration). */
const excludedNamespaces = new Set(['kube-system']);

/** Undefined for a pod that is injected or finished. */
export function uninjectedReason(pod: Pod, excepted: boolean): UninjectedReason | undefined {
  if (pod.injected || pod.finished) return undefined;
  if (excludedNamespaces.has(pod.namespace)) return 'excluded_namespace';
  return skipReason(pod, excepted) ?? 'not_injected';
}

export const notInjectedText =
  'the pod carries the label aadpodidbinding but has no token proxy, so it is given no identity: it was made while the webhook was not there ' +
  'or not called for its namespace. Make it anew, or annotate it aadpodidentity.k8s.io/inject=false if that is meant';

/** Each template is a series of the metric. Templates beyond this number are counted together. */
const templatesShown = 20;

export interface InjectedCount {
  version: string;
  template: string;
  pods: number;
}

/** Injected pods by the version and template hash that injected them, the most common first. */
export function countInjected(pods: Iterable<Pod>): InjectedCount[] {
  const counts = new Map<string, InjectedCount>();
  for (const { injected, finished, sidecarVersion: version, sidecarTemplate: template } of pods) {
    if (!injected || finished) continue;
    const key = `${version} ${template}`;
    const known = counts.get(key);
    if (known === undefined) counts.set(key, { version, template, pods: 1 });
    else known.pods += 1;
  }
  const sorted = [...counts.values()].sort((a, b) => b.pods - a.pods);
  const rest = new Map<string, number>();
  for (const { version, pods: some } of sorted.splice(templatesShown)) rest.set(version, (rest.get(version) ?? 0) + some);
  return [...sorted, ...[...rest].map(([version, some]) => ({ version, template: 'other', pods: some }))];
}
