// Which pods of a guarded namespace reach IMDS although they should not. Pure.
import { bindingLabel, injectedLabel } from '../../api/names.ts';
import type { PodException } from '../../lib/identities/exceptions.ts';
import { matchingException } from '../../lib/identities/exceptions.ts';
import { isWindowsOnly } from '../../lib/identities/windows.ts';
import { at, metadataOf, stringAt } from '../../lib/kube/objects.ts';

/**
 * Label selectors of the pods to look at. Those without the marker are all that the webhook did not change. Redirect and none are for pods with the
 * binding label, so a pod that has one of them without it wrote the marker itself, before the policy for markers was there.
 */
export const suspects = [`!${injectedLabel}`, `${injectedLabel} in (redirect,none),!${bindingLabel}`] as const;

/**
 * Name of a pod that a guard should cover, of those that {@link suspects} select; undefined for others. The guard is not for pods of the host's
 * network, static ones, those of Windows, those that end, and those of the exceptions that the namespace allows.
 */
export function unguardedName(raw: unknown, allowed: readonly PodException[]): string | undefined {
  const { name, labels = {}, annotations = {}, deletionTimestamp } = metadataOf(raw);
  const phase = stringAt(raw, 'status', 'phase');
  const hasEnded = deletionTimestamp !== undefined || phase === 'Succeeded' || phase === 'Failed';
  if (hasEnded || at(raw, 'spec', 'hostNetwork') === true || isWindowsOnly(raw)) return undefined;
  if (annotations['kubernetes.io/config.mirror'] !== undefined) return undefined;
  return matchingException(labels, allowed) === undefined ? name : undefined;
}

const named = 5;

/** The text of the Event. */
export function unguardedText(namespace: string, names: readonly string[]): string {
  const shown = names.slice(0, named).join(', ');
  const more = names.length > named ? ` and ${names.length - named} more` : '';
  return (
    `${names.length} ${names.length === 1 ? 'pod' : 'pods'} of this guarded namespace can reach IMDS: ${shown}${more}. They were made before the ` +
    'namespace was guarded, or the webhook was not called for them. Make them anew ' +
    `(kubectl rollout restart deployment,daemonset,statefulset -n ${namespace})`
  );
}
