// Warnings for the user who creates a pod that is let in. Only the direct creator sees them; kubectl prints one line each.
import { reasonText } from '../../api/decisions.ts';
import type { Interception, SidecarMode } from '../../api/injection.ts';
import { annotations, initContainerName } from '../../api/names.ts';
import { unknownAnnotations } from '../../lib/identities/decision/annotations.ts';
import type { NamespaceFacts } from '../../lib/identities/decision/decide.ts';
import type { Guard, Outcome } from '../../lib/identities/decision/outcome.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import { canChangeRules } from '../../lib/identities/decision/powers.ts';
import { proxyVariableWarning } from './proxy-variables.ts';

export function warningsFor(pod: PodView, namespace: NamespaceFacts, outcome: Outcome, mode: SidecarMode): string[] {
  const unknown = [...unknownAnnotationWarnings(pod), ...(namespace.guardWarnings ?? [])];
  if (outcome.decision === 'guard') return [...unknown, ...guardWarnings(pod, outcome)];
  if (outcome.decision === 'inject') return [...unknown, ...injectionWarnings(pod, namespace, outcome.interception, mode)];
  if (outcome.decision === 'deny' || outcome.reason === 'mirror_pod') return unknown;
  const detail = outcome.reason === 'excepted' ? `AzurePodIdentityException ${outcome.detail ?? ''}` : outcome.detail;
  return [...unknown, reasonText(outcome.reason, detail)];
}

/** A pod can have as many annotations as fit into 3 MB when a webhook sees it: the API server limits them later. */
const mostNamed = 10;

function unknownAnnotationWarnings(pod: PodView): string[] {
  const unknown = unknownAnnotations(pod.annotations);
  const named = unknown.slice(0, mostNamed).map((key) => `annotation ${key.slice(0, 100)} is not known and has no effect`);
  return unknown.length > mostNamed ? [...named, `${unknown.length - mostNamed} further annotations are not known`] : named;
}

function guardWarnings(pod: PodView, { reason }: Guard): string[] {
  return [...(pod.labelled ? [reasonText(reason)] : []), ...(pod.virtualNode ? [virtualNodeWarning] : [])];
}

const virtualNodeWarning = 'virtual nodes do not run init containers with NET_ADMIN: the pod may not start there';

function injectionWarnings(pod: PodView, namespace: NamespaceFacts, interception: Interception, mode: SidecarMode): string[] {
  const warnings: string[] = [];
  const level = namespace.podSecurity;
  if (interception === 'redirect' && (level === 'baseline' || level === 'restricted'))
    warnings.push(
      `namespace ${namespace.name} enforces pod security ${level}, which refuses NET_ADMIN of ${initContainerName}: enforce privileged or annotate ${annotations.interception}=none`,
    );
  if (interception === 'none') warnings.push('interception=none: requests that the app sends to IMDS itself are not filtered');
  if (mode === 'classic' && pod.restartPolicy !== 'Always')
    warnings.push(
      'the token proxy is no native sidecar here, so the pod will not complete while it runs: if all nodes run Kubernetes 1.29 or later, set nativeSidecar: always below sidecar in the chart values',
    );
  const powerful = pod.allContainers.find(canChangeRules);
  if (interception === 'redirect' && powerful !== undefined)
    warnings.push(
      `${powerful.place} can undo the redirect of IMDS: drop privileged, NET_ADMIN, SYS_ADMIN and BPF where they are not needed`,
    );
  const [proxied] = pod.allContainers.flatMap((one) => proxyVariableWarning(one, interception) ?? []);
  if (proxied !== undefined) warnings.push(proxied);
  if (pod.virtualNode) warnings.push(virtualNodeWarning);
  return warnings;
}
