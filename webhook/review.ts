// AdmissionReview v1 on the wire: parsed once into exact types, answered as the API server wants it.
import { isRecord, stringAt } from '../lib/kube/objects.ts';
import type { Operation } from './patch.ts';
import type { Pod } from './pod.ts';
import { isPod, podProblem } from './pod.ts';

export interface Review {
  uid: string;
  /** The object's own namespace is often empty; this one never is. */
  namespace: string;
  /** Empty for a pod that gets its name from `generateName`. */
  name: string;
  dryRun: boolean;
  pod: Pod;
}

/** Not something that an API server with our registration sends. */
export class ReviewError extends Error {
  override readonly name = 'ReviewError';
}

/** Throws {@link ReviewError}. */
export function parseReview(body: unknown): Review {
  if (!isRecord(body) || body.kind !== 'AdmissionReview') throw new ReviewError('the body is not an AdmissionReview');
  if (body.apiVersion !== 'admission.k8s.io/v1')
    throw new ReviewError(`apiVersion is ${shown(body.apiVersion)}: accepted is admission.k8s.io/v1`);
  const { request } = body;
  if (!isRecord(request)) throw new ReviewError('the AdmissionReview has no request');
  if (typeof request.uid !== 'string' || request.uid === '') throw new ReviewError('request.uid is missing');
  const kind = [
    stringAt(request, 'kind', 'group') ?? '',
    stringAt(request, 'kind', 'version') ?? '',
    stringAt(request, 'kind', 'kind') ?? '',
  ];
  if (kind.join('/') !== '/v1/Pod') throw new ReviewError(`request.kind is ${shown(request.kind)}: accepted is v1 Pod`);
  if (request.operation !== 'CREATE') throw new ReviewError(`request.operation is ${shown(request.operation)}: accepted is CREATE`);
  if (typeof request.subResource === 'string' && request.subResource !== '')
    throw new ReviewError(`request.subResource is ${shown(request.subResource)}: accepted is none`);
  if (typeof request.namespace !== 'string' || request.namespace === '') throw new ReviewError('request.namespace is missing');
  const { object } = request;
  if (!isPod(object)) throw new ReviewError(`request.object is not a Pod: ${podProblem(object)}`);
  return {
    uid: request.uid,
    namespace: request.namespace,
    name: typeof request.name === 'string' ? request.name : '',
    dryRun: request.dryRun === true,
    pod: object,
  };
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);

export interface Answer {
  allowed: boolean;
  /** Why it is refused. */
  message?: string;
  patch: Operation[];
  warnings: string[];
  auditAnnotations: Record<string, string>;
}

/** A longer warning is cut by the API server. */
const longestWarning = 256;

export function answerBody(uid: string, answer: Answer): string {
  const response: Record<string, unknown> = { uid, allowed: answer.allowed, auditAnnotations: answer.auditAnnotations };
  if (answer.message !== undefined) response.status = { code: 403, reason: 'Forbidden', message: answer.message };
  if (answer.warnings.length > 0) response.warnings = answer.warnings.map((text) => text.replace(/\s+/g, ' ').slice(0, longestWarning));
  if (answer.patch.length > 0) {
    response.patchType = 'JSONPatch';
    response.patch = Buffer.from(JSON.stringify(answer.patch)).toString('base64');
  }
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });
}
