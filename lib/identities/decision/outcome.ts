import type { ReasonFor } from '../../../api/decisions.ts';
import type { Interception } from '../../../api/injection.ts';
import type { ContainerOptions, PodOptions } from './annotations.ts';

/** A decision about a pod, and what acting on it needs. */
export type Outcome = Inject | Guard | Skip | Deny;

/** `defaults`: what annotations of the namespace say. */
export type Inject = {
  decision: 'inject';
  reason: ReasonFor<'inject'>;
  interception: Interception;
  options: PodOptions;
  defaults: ContainerOptions;
};
/** The pod gets an init container that rejects IMDS. */
export type Guard = { decision: 'guard'; reason: ReasonFor<'guard'>; options: ContainerOptions; defaults: ContainerOptions };
/** `detail`: name of the AzurePodIdentityException that matches. */
export type Skip = { decision: 'skip'; reason: ReasonFor<'skip'>; detail?: string };
/** `detail`: the part of the pod, or the annotation, that is wrong. */
export type Deny = { decision: 'deny'; reason: ReasonFor<'deny'>; detail?: string };

export function skip(reason: ReasonFor<'skip'>, detail?: string): Skip {
  return { decision: 'skip', reason, ...(detail === undefined ? {} : { detail }) };
}

export function deny(reason: ReasonFor<'deny'>, detail?: string): Deny {
  return { decision: 'deny', reason, ...(detail === undefined ? {} : { detail }) };
}
