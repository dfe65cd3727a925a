// What the person who creates the pod is told although the pod is let in. Only direct creators see it; kubectl prints one line each.
import type { Interception, SidecarMode } from '../api/injection.ts';
import { annotations, initContainerName } from '../api/names.ts';
import { explain } from '../api/reasons.ts';
import { at } from '../lib/kube/objects.ts';
import { unknownAnnotations } from './annotations.ts';
import type { NamespaceFacts, Verdict } from './decide.ts';
import type { Pod } from './pod.ts';
import { allContainers } from './pod.ts';

export function warningsFor(pod: Pod, namespace: NamespaceFacts, verdict: Verdict, mode: SidecarMode): string[] {
  const warnings = unknownAnnotations(pod.metadata.annotations ?? {}).map(
    (key) => `annotation ${key.slice(0, 100)} is not known and has no effect`,
  );
  if (verdict.decision === 'skip' && verdict.reason !== 'mirror_pod') {
    const detail = verdict.reason === 'excepted' ? `AzurePodIdentityException ${verdict.detail ?? ''}` : verdict.detail;
    warnings.push(explain(verdict.reason, detail));
  }
  if (verdict.decision === 'inject') warnings.push(...injectionWarnings(pod, namespace, verdict.interception, mode));
  return warnings;
}

function injectionWarnings(pod: Pod, namespace: NamespaceFacts, interception: Interception, mode: SidecarMode): string[] {
  const warnings: string[] = [];
  const level = namespace.podSecurity;
  if (interception === 'redirect' && (level === 'baseline' || level === 'restricted'))
    warnings.push(
      `namespace ${namespace.name} enforces pod security ${level}, which refuses NET_ADMIN of ${initContainerName}: enforce privileged or annotate ${annotations.interception}=none`,
    );
  if (interception === 'none') warnings.push('interception=none: requests that the app sends to IMDS itself are not filtered');
  if (mode === 'classic' && (pod.spec.restartPolicy ?? 'Always') !== 'Always')
    warnings.push('this cluster has no native sidecars: the pod will not complete while the token proxy runs');
  const powerful = powerfulContainer(pod);
  if (interception === 'redirect' && powerful !== undefined)
    warnings.push(`${powerful} can undo the redirect of IMDS: drop privileged, NET_ADMIN, SYS_ADMIN and BPF where they are not needed`);
  if (isVirtualNodePod(pod)) warnings.push('virtual nodes do not run init containers with NET_ADMIN: the pod may not start there');
  return warnings;
}

function powerfulContainer(pod: Pod): string | undefined {
  return allContainers(pod).find(({ container }) => {
    if (at(container, 'securityContext', 'privileged') === true) return true;
    const added = at(container, 'securityContext', 'capabilities', 'add');
    return (
      Array.isArray(added) && added.some((name) => ['NET_ADMIN', 'SYS_ADMIN', 'BPF', 'ALL'].includes(String(name).replace(/^CAP_/, '')))
    );
  })?.place;
}

function isVirtualNodePod(pod: Pod): boolean {
  const { tolerations } = pod.spec;
  return Array.isArray(tolerations) && tolerations.some((item) => at(item, 'key') === 'virtual-kubelet.io/provider');
}
