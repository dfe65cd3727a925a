// Which namespaces are guarded, and what keeps the guard of one from working. Pure.
import { annotations, guardLabel } from '../../api/names.ts';
import { isGuarded, parseGuardAllow, podSecurityObstacle } from '../../lib/identities/decision/guard.ts';
import type { LabelSelector } from '../../lib/identities/label-selector.ts';
import { matchesLabels } from '../../lib/identities/label-selector.ts';
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
  return { name, uid, labels, allowed: new Set(parseGuardAllow(given[annotations.guardAllow] ?? '').allowed) };
}

export function guardStateOf(namespace: GuardNamespace, selector: LabelSelector, releaseNamespace: string): GuardState {
  const { name, labels } = namespace;
  if (isGuarded(namespace, { selector, releaseNamespace })) {
    const obstacle = podSecurityObstacle({ name, podSecurity: labels['pod-security.kubernetes.io/enforce'] });
    return obstacle === undefined
      ? { guarded: true }
      : { guarded: true, problem: `${obstacle} of the guard's init container: ${otherLevels}` };
  }
  if (matchesLabels(selector, labels))
    return { guarded: false, problem: `namespace ${name} is never guarded: remove the label that guards it` };
  const value = labels[guardLabel];
  if (value === undefined) return { guarded: false };
  const why =
    value === 'enabled' ? 'the chart value guard.namespaceSelector selects by something else' : 'accepted is enabled, or no such label';
  return { guarded: false, problem: `label ${guardLabel} is '${value}', which guards nothing: ${why}` };
}

const otherLevels =
  'enforce privileged, or use another level in place of the guard: a network policy (chart value guard.networkPolicy or guard.cilium) or identities ' +
  'that no node carries, such as federated ones (docs/guard.md)';
