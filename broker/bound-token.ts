// The token that kubelet projects into a pod: a JWT for our audience, bound to that pod (docs/adr/0012-bound-tokens-for-sidecars.md).
import { at, stringAt } from '../lib/kube/objects.ts';

export interface BoundPod {
  namespace: string;
  name: string;
  uid: string;
}

/** What a token says of its bearer. */
export interface Caller extends BoundPod {
  serviceAccount: string;
  /** Node of the pod; tokens have it since Kubernetes 1.30. */
  node?: string;
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
export function callerOfClaims(claims: unknown): Caller | undefined {
  const kubernetes = at(claims, 'kubernetes.io');
  return callerOf({
    namespace: stringAt(kubernetes, 'namespace'),
    name: stringAt(kubernetes, 'pod', 'name'),
    uid: stringAt(kubernetes, 'pod', 'uid'),
    serviceAccount: stringAt(kubernetes, 'serviceaccount', 'name'),
    node: stringAt(kubernetes, 'node', 'name'),
  });
}

/** From a TokenReview; undefined unless it authenticates a token for that audience, bound to a pod. */
export function callerOfReview(review: unknown, audience: string): Caller | undefined {
  const status = at(review, 'status');
  const audiences = at(status, 'audiences');
  // A server without support for audiences authenticates a token for any of them.
  if (at(status, 'authenticated') !== true || !Array.isArray(audiences) || !audiences.includes(audience)) return undefined;
  const account = /^system:serviceaccount:(?<namespace>[^:]+):(?<name>[^:]+)$/.exec(stringAt(status, 'user', 'username') ?? '');
  const extra = (key: string): string | undefined => {
    const values = at(status, 'user', 'extra', `authentication.kubernetes.io/${key}`);
    return Array.isArray(values) && values.length === 1 && typeof values[0] === 'string' ? values[0] : undefined;
  };
  return callerOf({
    namespace: account?.groups?.namespace,
    name: extra('pod-name'),
    uid: extra('pod-uid'),
    serviceAccount: account?.groups?.name,
    node: extra('node-name'),
  });
}

function callerOf({ namespace, name, uid, serviceAccount, node }: Record<keyof Caller, string | undefined>): Caller | undefined {
  // An empty text is as good as none.
  if (!namespace || !name || !uid || !serviceAccount) return undefined;
  return { namespace, name, uid, serviceAccount, ...(node ? { node } : {}) };
}
