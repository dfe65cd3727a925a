// Which namespaces are guarded, and what keeps the guard of one from working. Pure.
import { annotations, guardLabel } from '../../api/names.ts';
import type { LabelSelector } from '../../lib/identities/label-selector.ts';
import { matchesLabels } from '../../lib/identities/label-selector.ts';
import { excludedNamespaces } from '../../lib/identities/namespace.ts';
import { metadataOf } from '../../lib/kube/objects.ts';

/** What is kept of a Namespace. */
export interface GuardNamespace {
  name: string;
  uid: string | undefined;
  labels: Readonly<Record<string, string>>;
  /** Names of the exceptions whose pods need no guard. */
  allowed: ReadonlySet<string>;
}

export interface GuardState {
  /** The webhook gives its pods a guard. */
  guarded: boolean;
  /** What does not work as the labels say, and what to do. */
  problem?: string;
}

export function guardNamespaceOf(raw: unknown): GuardNamespace | undefined {
  const { name, uid, labels = {}, annotations: given = {} } = metadataOf(raw);
  if (name === undefined) return undefined;
  const allowed = (given[annotations.guardAllow] ?? '').split(',').map((each) => each.trim());
  return { name, uid, labels, allowed: new Set(allowed.filter((each) => each !== '')) };
}

/** `releaseNamespace` is never guarded: its programs call IMDS, and the webhook must not wait for itself. */
export function guardStateOf({ name, labels }: GuardNamespace, selector: LabelSelector, releaseNamespace: string): GuardState {
  const value = labels[guardLabel];
  if (!matchesLabels(selector, labels)) {
    if (value === undefined) return { guarded: false };
    const why =
      value === 'enabled' ? 'the chart value guard.namespaceSelector selects by something else' : 'accepted is enabled, or no such label';
    return { guarded: false, problem: `label ${guardLabel} is '${value}', which guards nothing: ${why}` };
  }
  if (name === releaseNamespace || excludedNamespaces.has(name))
    return { guarded: false, problem: `namespace ${name} is never guarded: remove the label that guards it` };
  const level = labels['pod-security.kubernetes.io/enforce'];
  if (level !== 'baseline' && level !== 'restricted') return { guarded: true };
  return {
    guarded: true,
    problem:
      `the guard of a pod needs NET_ADMIN for its init container, and pod security ${level}, which this namespace enforces, refuses it: enforce ` +
      'privileged, or use another level in place of the guard: a network policy (chart value guard.networkPolicy or guard.cilium) or identities ' +
      'that no node carries, such as federated ones (docs/guard.md)',
  };
}
