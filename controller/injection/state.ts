// Whether a labelled pod has a sidecar, and why not. Pure, from what the webhook wrote on the pod.
import type { ReasonFor } from '../../api/decisions.ts';
import { skipReason } from '../../lib/identities/decision/skip.ts';
import { excludedNamespaces } from '../../lib/identities/namespace.ts';
import type { Pod } from '../../lib/identities/pod.ts';

/** Why a pod has no sidecar: a reason of the webhook to skip it, or `not_injected` for a pod that the webhook never saw. */
export type UninjectedReason = ReasonFor<'skip'> | 'excluded_namespace' | 'not_injected';

/** Undefined for a pod that is injected or finished. */
export function uninjectedReason(pod: Pod, excepted: boolean): UninjectedReason | undefined {
  if (pod.injected || pod.finished) return undefined;
  return skipReason(pod, excepted) ?? (excludedNamespaces.has(pod.namespace) ? 'excluded_namespace' : 'not_injected');
}

/** `isAssigned`: the controller gives it identities all the same. */
export interface NotInjected {
  pod: Pod;
  reason: 'excluded_namespace' | 'not_injected';
  isAssigned: boolean;
}

/**
 * Why nobody injected the pod, what follows from it, and the way out. A MIC that still runs gives the pod its identities and the NMI of its node
 * filters its requests, so the text leaves both open.
 */
export function notInjectedText({ pod, reason, isAssigned }: NotInjected): string {
  const [cause, wayOut] =
    reason === 'excluded_namespace'
      ? [`the webhook is never called for namespace ${pod.namespace}`, 'Run it in another namespace']
      : [
          'it was made while the webhook was not there, or the labels of its namespace keep the webhook from it, such as control-plane=true or ' +
            `kubernetes.azure.com/managedby=aks (kubectl get namespace ${pod.namespace} --show-labels)`,
          'Make it anew, in another namespace if its labels are the reason',
        ];
  const assigns = isAssigned ? '' : 'This controller assigns no new identity to it. ';
  return (
    `the pod carries the label aadpodidbinding but has no token proxy: ${cause}. ${assigns}Its token requests reach IMDS as from the node, ` +
    `unless NMI of aad-pod-identity still serves it. ${wayOut}, or annotate it aadpodidentity.k8s.io/inject=false if that is meant`
  );
}

/** Of a pod that has an identity and no token proxy, because its labels match an exception that may be meant for others. */
export const exceptedText = (exception: string, identityKey: string): string =>
  `AzurePodIdentityException ${exception} applies to this pod, so it has no token proxy although AzureIdentity ${identityKey} is bound to it: its token ` +
  `requests reach IMDS as from the node, which knows every identity of the node. If that is not meant, change the podLabels of the exception ` +
  `(kubectl edit azurepodidentityexception ${exception}) or the labels of the pod, and make the pod anew`;

/** What a pod is injected with now. */
export interface CurrentInjection {
  version: string;
  /** Of the webhook's settings; empty where nobody said it. */
  settingsHash: string;
}

/** Whether the pod would get other containers if it was made anew. */
export const isOutdated = (pod: Pod, { version, settingsHash }: CurrentInjection): boolean =>
  pod.injected && !pod.finished && (pod.sidecarVersion !== version || (settingsHash !== '' && pod.sidecarSettings !== settingsHash));

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
