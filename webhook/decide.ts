// Whether a pod is injected: total and ordered, the first rule that matches wins (design 4). Pure; sees the pod without our own parts.
import type { Interception, SidecarMode } from '../api/injection.ts';
import { annotations, bindingLabel, proxyId, proxyPort } from '../api/names.ts';
import type { ReasonFor } from '../api/reasons.ts';
import type { PodException } from '../lib/identities/exceptions.ts';
import { matchingException } from '../lib/identities/exceptions.ts';
import { isWindows } from '../lib/identities/windows.ts';
import { at, isRecord, stringAt } from '../lib/kube/objects.ts';
import type { PodOptions } from './annotations.ts';
import { AnnotationError, interceptions, parsePodAnnotations, podAnnotations, refusal } from './annotations.ts';
import { competingVariable } from './environment.ts';
import type { Pod } from './pod.ts';
import { allContainers, annotationOf, labelOf, nameOf } from './pod.ts';
import { reservedContainerNames, reservedVolumeNames } from './strip.ts';

export interface NamespaceFacts {
  name: string;
  /** Value of `pod-security.kubernetes.io/enforce`. */
  podSecurity?: string | undefined;
  /** Value of the interception annotation, not yet parsed. */
  interception?: string | undefined;
}

export interface DecideSettings {
  mode: SidecarMode;
  hostNetwork: 'skip' | 'deny';
}

export type Verdict =
  | { decision: 'inject'; reason: ReasonFor<'inject'>; options: PodOptions; interception: Interception }
  | { decision: 'skip'; reason: ReasonFor<'skip'>; detail?: string }
  | { decision: 'deny'; reason: ReasonFor<'deny'>; detail?: string };

export function decide(pod: Pod, namespace: NamespaceFacts, exceptions: Iterable<PodException>, settings: DecideSettings): Verdict {
  return skipOf(pod, exceptions, settings) ?? denialOf(pod, settings) ?? injectionOf(pod, namespace);
}

function skipOf(pod: Pod, exceptions: Iterable<PodException>, settings: DecideSettings): Verdict | undefined {
  if (annotationOf(pod, 'kubernetes.io/config.mirror') !== undefined) return { decision: 'skip', reason: 'mirror_pod' };
  if ((labelOf(pod, bindingLabel) ?? '') === '') return { decision: 'skip', reason: 'no_selector' };

  const wish = annotationOf(pod, annotations.inject);
  if (wish !== undefined) {
    const { key, accepts, parse } = podAnnotations.inject;
    const inject = parse(wish);
    if (inject === undefined) return { decision: 'deny', reason: 'invalid_annotation', detail: refusal(key, wish, accepts) };
    if (inject === 'false') return { decision: 'skip', reason: 'opted_out' };
  }

  const exception = matchingException(pod.metadata.labels ?? {}, exceptions);
  if (exception !== undefined) return { decision: 'skip', reason: 'excepted', detail: exception.name };
  if (isWindows(pod)) return { decision: 'skip', reason: 'windows' };
  if (pod.spec.hostNetwork === true)
    return settings.hostNetwork === 'deny'
      ? { decision: 'deny', reason: 'host_network_refused' }
      : { decision: 'skip', reason: 'host_network' };
  return undefined;
}

function denialOf(pod: Pod, settings: DecideSettings): Verdict | undefined {
  const deny = (reason: ReasonFor<'deny'>, detail?: string): Verdict => ({
    decision: 'deny',
    reason,
    ...(detail === undefined ? {} : { detail }),
  });
  // In classic mode it would run with nothing but the proxy.
  if ((pod.spec.containers ?? []).length === 0) return deny('no_containers', 'spec.containers');
  const name = reservedNameIn(pod);
  if (name !== undefined) return deny('reserved_name', name);
  const id = reservedIdIn(pod);
  if (id !== undefined) return deny('reserved_id', id);
  const port = proxyPortIn(pod);
  if (port !== undefined) return deny('port_conflict', port);
  try {
    parsePodAnnotations(pod.metadata.annotations ?? {});
  } catch (error) {
    if (error instanceof AnnotationError) return deny('invalid_annotation', error.message);
    throw error;
  }
  return settings.mode === 'classic' && isJobPod(pod) ? deny('job_without_native_sidecar') : undefined;
}

function injectionOf(pod: Pod, namespace: NamespaceFacts): Verdict {
  const options = parsePodAnnotations(pod.metadata.annotations ?? {});
  const inherited = namespace.interception;
  const interception = options.interception ?? (inherited === undefined ? 'redirect' : interceptions.find((value) => value === inherited));
  if (interception === undefined)
    return {
      decision: 'deny',
      reason: 'invalid_annotation',
      detail: `namespace ${namespace.name}: ${refusal(annotations.interception, inherited ?? '', podAnnotations.interception.accepts)}`,
    };
  if (interception === 'none')
    for (const { place, container } of allContainers(pod)) {
      const variable = competingVariable(container);
      if (variable !== undefined) return { decision: 'deny', reason: 'environment_conflict', detail: `${place}.env[${variable}]` };
    }
  return { decision: 'inject', reason: 'injected', options, interception };
}

function isJobPod(pod: Pod): boolean {
  const owners = pod.metadata.ownerReferences;
  return (
    Array.isArray(owners) &&
    owners.some((owner) => stringAt(owner, 'kind') === 'Job' && stringAt(owner, 'apiVersion')?.startsWith('batch/'))
  );
}

function reservedNameIn(pod: Pod): string | undefined {
  const container = allContainers(pod).find((placed) => reservedContainerNames.has(nameOf(placed.container)));
  if (container !== undefined) return container.place;
  const volume = (pod.spec.volumes ?? []).map(nameOf).find((name) => reservedVolumeNames.has(name));
  return volume === undefined ? undefined : `spec.volumes[${volume}]`;
}

/** Whoever runs with the proxy's id passes the redirect. */
function reservedIdIn(pod: Pod): string | undefined {
  const context = pod.spec.securityContext;
  if (isRecord(context)) {
    for (const key of ['runAsUser', 'runAsGroup', 'fsGroup']) if (context[key] === proxyId) return `spec.securityContext.${key}`;
    const groups = context.supplementalGroups;
    if (Array.isArray(groups) && groups.includes(proxyId)) return 'spec.securityContext.supplementalGroups';
  }
  for (const { place, container } of allContainers(pod))
    for (const key of ['runAsUser', 'runAsGroup'])
      if (at(container, 'securityContext', key) === proxyId) return `${place}.securityContext.${key}`;
  return undefined;
}

function proxyPortIn(pod: Pod): string | undefined {
  for (const { place, container } of allContainers(pod)) {
    const taken =
      Array.isArray(container.ports) &&
      container.ports.some((port) => at(port, 'containerPort') === proxyPort && (stringAt(port, 'protocol') ?? 'TCP') === 'TCP');
    if (taken) return `${place}.ports`;
  }
  return undefined;
}
