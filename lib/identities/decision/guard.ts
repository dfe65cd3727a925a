// Guarded namespaces: which they are, and what follows for a pod before it is known whether it is injected. Pure.
//
// Every pod there gets its proxy, a guard that rejects IMDS, or a denial: docs/adr/0027-guard.md.
import { annotations, guardLabel } from '../../../api/names.ts';
import type { PodException } from '../exceptions.ts';
import { matchingException } from '../exceptions.ts';
import type { LabelSelector } from '../label-selector.ts';
import { matchesLabels } from '../label-selector.ts';
import type { Namespace } from '../namespace.ts';
import { excludedNamespaces } from '../namespace.ts';
import { checkInjectAnnotation, parseInitAnnotations, parseNamespaceAnnotations } from './annotations.ts';
import { reservedPartIn } from './conflicts.ts';
import type { DecideInput, NamespaceFacts } from './decide.ts';
import type { Deny, Guard, Skip } from './outcome.ts';
import { deny, skip } from './outcome.ts';
import type { PodView } from './pod-view.ts';
import { canPassRules } from './powers.ts';

export interface GuardSelection {
  /** Undefined where the guard is off. */
  selector: LabelSelector | undefined;
  releaseNamespace: string;
}

/** The release namespace is never guarded: its pods would wait for the webhook that they are. */
export function isGuarded({ name, labels }: Namespace, { selector, releaseNamespace }: GuardSelection): boolean {
  return selector !== undefined && name !== releaseNamespace && !excludedNamespaces.has(name) && matchesLabels(selector, labels);
}

/** Names that the annotation guard-allow lists. What cannot be a name allows nothing and is returned apart. */
export function parseGuardAllow(text: string): { allowed: string[]; invalid: string[] } {
  const items = text
    .split(',')
    .map((item) => item.trim())
    .filter((item) => item !== '');
  const isName = (item: string) => /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(item);
  return { allowed: items.filter(isName), invalid: items.filter((item) => !isName(item)) };
}

/** What the author of a namespace most likely meant otherwise. One line each. */
export function guardWarningsOf(
  namespace: Namespace,
  { selector }: GuardSelection,
  { isActive, guardAllow }: { isActive: boolean; guardAllow: string },
): string[] {
  const { name } = namespace;
  const warnings: string[] = [];
  const value = Object.hasOwn(namespace.labels, guardLabel) ? namespace.labels[guardLabel] : undefined;
  if (value === 'enabled' && selector === undefined)
    warnings.push(`label ${guardLabel} of namespace ${name} has no effect: the chart value guard.enabled is false`);
  else if (value !== undefined && value !== 'enabled' && !isActive)
    warnings.push(
      `label ${guardLabel} of namespace ${name} is ${JSON.stringify(value)} and does not guard it: accepted is enabled, or no such label`,
    );
  for (const item of parseGuardAllow(guardAllow).invalid.slice(0, 3))
    warnings.push(`annotation ${annotations.guardAllow} of namespace ${name} lists ${JSON.stringify(item.slice(0, 40))}, which is no name`);
  return warnings;
}

/** Why Pod Security refuses the guard's init container, for the denial of a pod and for Events about the namespace. */
export function podSecurityObstacle({ name, podSecurity }: Pick<NamespaceFacts, 'name' | 'podSecurity'>): string | undefined {
  return podSecurity === 'baseline' || podSecurity === 'restricted'
    ? `namespace ${name} enforces pod security ${podSecurity}, which refuses NET_ADMIN`
    : undefined;
}

/** Undefined for a pod that is to be injected, if nothing else stands against that. Throws {@link AnnotationError}. */
export function guardOutcome(input: DecideInput): Guard | Skip | Deny | undefined {
  const { pod } = input;
  if (pod.mirror) return skip('mirror_pod');
  if (pod.selector !== '') checkInjectAnnotation(pod.annotations);
  return exceptionOutcome(input) ?? obstacleOutcome(input) ?? (asksForIdentities(pod) ? undefined : (reservedPartIn(pod) ?? guard(input)));
}

const asksForIdentities = (pod: PodView): boolean => pod.selector !== '' && !pod.optedOut;

/** Throws {@link AnnotationError}. */
function guard({ pod, namespace }: DecideInput): Guard {
  const options = parseInitAnnotations(pod.annotations);
  const defaults = parseNamespaceAnnotations(namespace.defaults ?? {}, namespace.name);
  return { decision: 'guard', reason: guardReason(pod), options, defaults };
}

function guardReason(pod: PodView): Guard['reason'] {
  if (!pod.labelled) return 'guarded';
  return pod.selector === '' ? 'guarded_no_selector' : 'guarded_opted_out';
}

/** aad-pod-identity excepts pods without the binding label too. */
function exceptionOutcome({ pod, namespace, exceptions }: DecideInput): Skip | Deny | undefined {
  if (pod.labelled && !asksForIdentities(pod)) return undefined;
  const all: PodException[] = [...exceptions];
  const allowed = all.filter(({ name }) => namespace.guardAllow?.includes(name));
  const effective = matchingException(pod.labels, allowed);
  if (effective !== undefined) return skip('excepted', effective.name);
  const refused = matchingException(pod.labels, all);
  return refused === undefined ? undefined : deny('guard_exception', `AzurePodIdentityException ${refused.name}`);
}

/** What neither redirect nor guard can hold. */
function obstacleOutcome({ pod, namespace, settings }: DecideInput): Skip | Deny | undefined {
  const isDenied = settings.guardHostNetwork === 'deny';
  // Linux nodes ignore windowsOptions, so a pod that has nothing else gets its guard.
  if (pod.windows && isDenied) return deny('guard_windows');
  if (pod.windowsOnly) return skip('windows');
  if (pod.hostNetwork) {
    if (isDenied) return deny('guard_host_network');
    return asksForIdentities(pod) && settings.hostNetwork === 'deny' ? deny('host_network_refused') : skip('host_network');
  }
  if (pod.hostPID && isDenied) return deny('guard_host_pid');
  const obstacle = podSecurityObstacle(namespace);
  if (obstacle !== undefined) return deny('guard_pod_security', obstacle);
  const powerful = pod.allContainers.find(canPassRules);
  return powerful === undefined ? undefined : deny('guard_powerful_container', powerful.place);
}
