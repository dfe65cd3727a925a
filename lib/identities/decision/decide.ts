// The webhook's decision about a pod: inject it, guard it, skip it (let it in as it is), or deny it. Total and ordered: the first rule that matches wins.
//
//   const pod = parsePod(json);
//   const outcome = decide({ pod, namespace, exceptions, settings });
//   if (outcome.decision === 'deny') console.log(reasonText(outcome.reason, outcome.detail));
//
// Pure and shared: the webhook acts on the outcome; other programs say what the webhook does with a pod.
import type { Interception, SidecarMode } from '../../../api/injection.ts';
import type { PodException } from '../exceptions.ts';
import { matchingException } from '../exceptions.ts';
import {
  AnnotationError,
  checkInjectAnnotation,
  parseAnnotation,
  parseNamespaceAnnotations,
  parsePodAnnotations,
  podAnnotations,
} from './annotations.ts';
import { conflictIn, variableConflictIn } from './conflicts.ts';
import { guardOutcome } from './guard.ts';
import type { Deny, Inject, Outcome, Skip } from './outcome.ts';
import { deny, skip } from './outcome.ts';
import type { PodView } from './pod-view.ts';
import type { StringMap } from './raw-pod.ts';
import { skipReason } from './skip.ts';

export interface NamespaceFacts {
  name: string;
  /** Value of `pod-security.kubernetes.io/enforce`. */
  podSecurity?: string | undefined;
  /** Value of the interception annotation, not yet parsed. */
  interception?: string | undefined;
  /** Its annotations that are defaults for its pods, not yet parsed. */
  defaults?: StringMap;
  /** No pod of it may reach IMDS itself. */
  guarded?: boolean;
  /** Names of the exceptions that count there although it is guarded. */
  guardAllow?: readonly string[];
  /** What its label and annotation of the guard got wrong. */
  guardWarnings?: readonly string[];
}

export interface DecideSettings {
  mode: SidecarMode;
  hostNetwork: 'skip' | 'deny';
  /** For pods with hostNetwork and Windows pods of guarded namespaces. */
  guardHostNetwork: 'deny' | 'warn';
}

export interface DecideInput {
  pod: PodView;
  namespace: NamespaceFacts;
  /** Of the pod's namespace. */
  exceptions: Iterable<PodException>;
  settings: DecideSettings;
}

export function decide(input: DecideInput): Outcome {
  try {
    const outcome = input.namespace.guarded === true ? guardOutcome(input) : skipOutcome(input);
    return outcome ?? conflictIn(input.pod) ?? injectOutcome(input);
  } catch (error) {
    if (error instanceof AnnotationError) return deny(error.code, error.message);
    throw error;
  }
}

/** Throws {@link AnnotationError}. */
function skipOutcome({ pod, exceptions, settings }: DecideInput): Skip | Deny | undefined {
  const exception = matchingException(pod.labels, exceptions);
  const reason = skipReason(pod, exception !== undefined);
  if (reason === 'mirror_pod' || reason === 'no_selector') return skip(reason);

  // Before all other reasons: no later rule decides about a pod whose user misspelt `false`.
  checkInjectAnnotation(pod.annotations);

  if (reason === 'excepted') return skip(reason, exception?.name);
  if (reason === 'host_network' && settings.hostNetwork === 'deny') return deny('host_network_refused');
  return reason === undefined ? undefined : skip(reason);
}

/** Throws {@link AnnotationError}. */
function injectOutcome({ pod, namespace, settings }: DecideInput): Inject | Deny {
  const options = parsePodAnnotations(pod.annotations);
  const defaults = parseNamespaceAnnotations(namespace.defaults ?? {}, namespace.name);
  if (settings.mode === 'classic' && isJobPod(pod)) return deny('job_without_native_sidecar');
  const interception = options.interception ?? interceptionOf(namespace);
  if (interception === 'none' && namespace.guarded === true) return deny('guard_interception_none');
  const conflict = interception === 'none' ? variableConflictIn(pod) : undefined;
  return conflict ?? { decision: 'inject', reason: 'injected', interception, options, defaults };
}

/** Throws {@link AnnotationError}. */
function interceptionOf({ name, interception }: NamespaceFacts): Interception {
  return interception === undefined ? 'redirect' : parseAnnotation(podAnnotations.interception, interception, `namespace ${name}`);
}

function isJobPod({ owners }: PodView): boolean {
  return owners.some(({ apiVersion, kind }) => kind === 'Job' && apiVersion.startsWith('batch/'));
}
