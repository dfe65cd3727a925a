// The token that kubelet projects into a pod: a JWT for our audience, bound to that pod (docs/adr/0012-bound-tokens-for-sidecars.md).
import { at, stringAt } from '../lib/kube/objects.ts';

export interface BoundPod {
  namespace: string;
  name: string;
  uid: string;
}

const maxTokenLength = 8192;
const shape = /^[\w-]+\.[\w-]+\.[\w-]+$/;

/** The token of an Authorization header; undefined unless it has the form and the size of a signed JWT. */
export function bearerToken(header: string | undefined): string | undefined {
  if (header === undefined || header.length > maxTokenLength + 'Bearer '.length) return undefined;
  const [scheme, token, ...rest] = header.split(' ');
  if (scheme?.toLowerCase() !== 'bearer' || token === undefined || rest.length > 0) return undefined;
  return shape.test(token) ? token : undefined;
}

/** From the claims of a verified token; undefined for a token that is not bound to a pod. */
export function podOfClaims(claims: unknown): BoundPod | undefined {
  const kubernetes = at(claims, 'kubernetes.io');
  return boundPod(stringAt(kubernetes, 'namespace'), stringAt(kubernetes, 'pod', 'name'), stringAt(kubernetes, 'pod', 'uid'));
}

/** From a TokenReview; undefined unless it authenticates a token for that audience, bound to a pod. */
export function podOfReview(review: unknown, audience: string): BoundPod | undefined {
  const status = at(review, 'status');
  const audiences = at(status, 'audiences');
  // A server without support for audiences authenticates a token for any of them.
  if (at(status, 'authenticated') !== true || !Array.isArray(audiences) || !audiences.includes(audience)) return undefined;
  const account = /^system:serviceaccount:(?<namespace>[^:]+):[^:]+$/.exec(stringAt(status, 'user', 'username') ?? '');
  const extra = (key: string): string | undefined => {
    const values = at(status, 'user', 'extra', `authentication.kubernetes.io/${key}`);
    return Array.isArray(values) && values.length === 1 && typeof values[0] === 'string' ? values[0] : undefined;
  };
  return boundPod(account?.groups?.namespace, extra('pod-name'), extra('pod-uid'));
}

function boundPod(namespace: string | undefined, name: string | undefined, uid: string | undefined): BoundPod | undefined {
  return namespace === undefined || namespace === '' || name === undefined || name === '' || uid === undefined || uid === ''
    ? undefined
    : { namespace, name, uid };
}
