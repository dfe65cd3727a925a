// One admission from pod to response, pure: decide, then render, patch, and verify that the patch makes the pod that render returned.
import { isDeepStrictEqual } from 'node:util';
import jsonpatch from 'jsonpatch';
import type { Decision, ReasonCode } from '../../api/decisions.ts';
import { reasonText } from '../../api/decisions.ts';
import type { DecideInput, DecideSettings } from '../../lib/identities/decision/decide.ts';
import { decide } from '../../lib/identities/decision/decide.ts';
import { strip, withoutMarks } from './compose.ts';
import type { Template } from './containers.ts';
import { limitRangeWarnings } from './limit-range-warnings.ts';
import type { Limits } from './limit-ranges.ts';
import { metricsPortWarnings } from './metrics-port.ts';
import type { Operation } from './patch.ts';
import { diff } from './patch.ts';
import { render } from './render.ts';
import { resetWarnings } from './reset-warnings.ts';
import { warningsFor } from './warnings.ts';

export interface Admission {
  decision: Decision;
  reason: ReasonCode;
  response: AdmissionResponse;
}

export interface AdmissionResponse {
  allowed: boolean;
  /** Why the pod is denied. */
  message?: string;
  patch: Operation[];
  warnings: string[];
  auditAnnotations: Record<string, string>;
}

export interface AdmitInput extends Omit<DecideInput, 'settings'> {
  settings: Omit<DecideSettings, 'mode'>;
  template: Template;
  /** Of the pod's namespace, as far as they are known. */
  limits: Limits;
}

/** Throws only for a fault of our own: the server then responds with an error, never with a doubtful patch. */
export function admit({ pod, namespace, exceptions, settings, template, limits }: AdmitInput): Admission {
  const outcome = decide({ pod, namespace, exceptions, settings: { ...settings, mode: template.mode } });
  const { decision, reason } = outcome;
  const auditAnnotations: Record<string, string> = { decision, reason };
  const response: AdmissionResponse = {
    allowed: decision !== 'deny',
    patch: [],
    warnings: warningsFor(pod, namespace, outcome, template.mode),
    auditAnnotations,
  };

  if (outcome.decision === 'deny') response.message = reasonText(outcome.reason, outcome.detail);
  else if (outcome.decision === 'inject' || outcome.decision === 'guard') {
    const rendered = render(pod, outcome, template, { guarded: namespace.guarded === true, limits });
    auditAnnotations['template-hash'] = rendered.templateHash;
    response.warnings.push(...resetWarnings(pod, rendered.pod));
    response.warnings.push(...limitRangeWarnings(rendered.pod, limits));
    if (outcome.decision === 'inject') response.warnings.push(...metricsPortWarnings(pod, outcome, template));
    response.patch = verifiedPatch(pod.raw, rendered.pod);
  } else {
    // A copy of an injected pod, or one that another webhook changed after the first call, must not keep half an injection. A mirror pod shows
    // what its kubelet runs, so its containers stay; status and marker would say that this webhook injected them.
    response.patch = verifiedPatch(pod.raw, outcome.reason === 'mirror_pod' ? withoutMarks(pod) : strip(pod));
  }
  if (outcome.reason === 'excepted') auditAnnotations.exception = `${namespace.name}/${outcome.detail ?? ''}`;
  return { decision, reason, response };
}

/** See docs/adr/0004-webhook-patch-is-verified.md. */
function verifiedPatch(before: unknown, after: unknown): Operation[] {
  const patch = diff(before, after);
  if (patch.length > 0 && !isDeepStrictEqual(jsonpatch.apply_patch<unknown>(before, patch), after))
    throw new Error('the patch does not make the rendered pod');
  return patch;
}
