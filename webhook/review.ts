// AdmissionReview v1 on the wire: parsed once into exact types, answered in the form of the API server.

import { isRecord, stringAt } from '../common/records.ts';
import type { PodView } from '../lib/identities/decision/pod-view.ts';
import { parsePod } from '../lib/identities/decision/pod-view.ts';
import { PodShapeError } from '../lib/identities/decision/raw-pod.ts';
import type { AdmissionResponse } from './injection/admit.ts';

export interface Review {
  uid: string;
  /** Of the request: in the pod itself it is often empty. */
  namespace: string;
  /** `prefix*` for a pod that gets its name from `generateName`. */
  name: string;
  dryRun: boolean;
  /** The API server called the path of guarded namespaces. */
  guarded: boolean;
  pod: PodView;
}

/** The body is not what an API server with our registration sends. */
export class ReviewError extends Error {
  override readonly name = 'ReviewError';
}

// The uid is in the response, and all three are in the log: any pod can send a review of 4 MB.
const longestUid = 128;
const longestNamespace = 63;
const longestName = 253;

/** Throws {@link ReviewError}. */
export function parseReview(body: unknown, { guarded }: { guarded: boolean }): Review {
  if (!isRecord(body) || body.kind !== 'AdmissionReview') throw new ReviewError('the body is not an AdmissionReview');
  if (body.apiVersion !== 'admission.k8s.io/v1')
    throw new ReviewError(`apiVersion is ${shown(body.apiVersion)}: accepted is admission.k8s.io/v1`);
  const { request } = body;
  if (!isRecord(request)) throw new ReviewError('the AdmissionReview has no request');
  if (typeof request.uid !== 'string' || request.uid === '') throw new ReviewError('request.uid is missing');
  if (request.uid.length > longestUid) throw new ReviewError(`request.uid is longer than ${longestUid} characters`);
  checkSubject(request);
  if (typeof request.namespace !== 'string' || request.namespace === '') throw new ReviewError('request.namespace is missing');
  if (request.namespace.length > longestNamespace) throw new ReviewError(`request.namespace is longer than ${longestNamespace} characters`);
  return {
    uid: request.uid,
    namespace: request.namespace,
    // Longer ones come with valid requests too, since the API server checks names later.
    name: (stringAt(request, 'name') || `${stringAt(request, 'object', 'metadata', 'generateName') ?? ''}*`).slice(0, longestName),
    dryRun: request.dryRun === true,
    guarded,
    pod: podOf(request.object),
  };
}

/** The registration asks for the creation of pods only. */
function checkSubject(request: Record<string, unknown>): void {
  const [group, version, kind] = ['group', 'version', 'kind'].map((key) => stringAt(request, 'kind', key) ?? '');
  if (group !== '' || version !== 'v1' || kind !== 'Pod')
    throw new ReviewError(`request.kind is ${shown(request.kind)}: accepted is v1 Pod`);
  if (request.operation !== 'CREATE') throw new ReviewError(`request.operation is ${shown(request.operation)}: accepted is CREATE`);
  if (typeof request.subResource === 'string' && request.subResource !== '')
    throw new ReviewError(`request.subResource is ${shown(request.subResource)}: accepted is none`);
}

function podOf(object: unknown): PodView {
  try {
    return parsePod(object);
  } catch (error) {
    if (error instanceof PodShapeError) throw new ReviewError(`request.object is not a Pod: ${error.message}`);
    throw error;
  }
}

const shown = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);

/** The API server cuts longer warnings: docs/reference/kubernetes.md. */
const longestWarning = 256;
/** A message can have a name from the pod in it, which may fill the body. */
const longestMessage = 2048;

export function responseBody(uid: string, { allowed, message, patch, warnings, auditAnnotations }: AdmissionResponse): string {
  const response: Record<string, unknown> = { uid, allowed, auditAnnotations };
  if (message !== undefined) response.status = { code: 403, reason: 'Forbidden', message: message.slice(0, longestMessage) };
  if (warnings.length > 0) response.warnings = warnings.map((text) => text.replace(/\s+/g, ' ').slice(0, longestWarning));
  if (patch.length > 0) {
    response.patchType = 'JSONPatch';
    response.patch = Buffer.from(JSON.stringify(patch)).toString('base64');
  }
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });
}
