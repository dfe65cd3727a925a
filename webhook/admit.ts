// One admission from pod to answer, pure: strip, decide, render, patch, and the proof that the patch does what render meant.
import { isDeepStrictEqual } from 'node:util';
import jsonpatch from 'jsonpatch';
import type { Decision, ReasonCode } from '../api/reasons.ts';
import { explain } from '../api/reasons.ts';
import type { PodException } from '../lib/identities/exceptions.ts';
import type { Template } from './containers.ts';
import type { DecideSettings, NamespaceFacts } from './decide.ts';
import { decide } from './decide.ts';
import type { Operation } from './patch.ts';
import { difference } from './patch.ts';
import type { Pod } from './pod.ts';
import { render } from './render.ts';
import type { Answer } from './review.ts';
import { strip } from './strip.ts';
import { warningsFor } from './warnings.ts';

export interface Admission {
  decision: Decision;
  reason: ReasonCode;
  answer: Answer;
}

export interface AdmitInput {
  pod: Pod;
  namespace: NamespaceFacts;
  exceptions: Iterable<PodException>;
  settings: Omit<DecideSettings, 'mode'>;
  template: Template;
}

/** Throws only where our own code is wrong: the caller answers with an error, never with a doubtful patch. */
export function admit({ pod, namespace, exceptions, settings, template }: AdmitInput): Admission {
  const stripped = strip(pod);
  const verdict = decide(stripped.pod, namespace, exceptions, { ...settings, mode: template.mode });
  const { decision, reason } = verdict;
  const auditAnnotations: Record<string, string> = { decision, reason };
  const answer: Answer = {
    allowed: decision !== 'deny',
    patch: [],
    warnings: warningsFor(stripped.pod, namespace, verdict, template.mode),
    auditAnnotations,
  };

  if (verdict.decision === 'deny') answer.message = explain(verdict.reason, verdict.detail);
  else if (verdict.decision === 'inject') {
    const rendered = render(stripped, verdict.interception, verdict.options, template);
    auditAnnotations['template-hash'] = rendered.templateHash;
    answer.patch = checkedPatch(pod, rendered.pod);
  } else if (verdict.reason !== 'mirror_pod') {
    // A copy of an injected pod, or one that another webhook changed after us: it must not keep half an injection.
    answer.patch = checkedPatch(pod, stripped.pod);
  }
  if (verdict.decision === 'skip' && verdict.reason === 'excepted')
    auditAnnotations.exception = `${namespace.name}/${verdict.detail ?? ''}`;
  return { decision, reason, answer };
}

function checkedPatch(before: Pod, after: Pod): Operation[] {
  const patch = difference(before, after);
  if (patch.length > 0 && !isDeepStrictEqual(jsonpatch.apply_patch<unknown>(before, patch), after))
    throw new Error('the patch does not make the rendered pod');
  return patch;
}
