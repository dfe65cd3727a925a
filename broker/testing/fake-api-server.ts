// For tests: a KubeClient that publishes keys, reviews tokens and knows pods, and counts the calls; and bound tokens signed with those keys.
import { generateKeyPair } from 'node:crypto';
import { promisify } from 'node:util';
import type { JWK } from 'jose';
import { exportJWK, SignJWT } from 'jose';
import type { KubeClient } from '../../lib/kube/client.ts';
import { KubeError } from '../../lib/kube/errors.ts';

const generate = promisify(generateKeyPair);

const issuerName = 'https://cluster.test';
export const pod = { namespace: 'team', name: 'app-0', uid: 'uid-1' };
/** What a token of {@link pod} says. */
export const caller = { ...pod, serviceAccount: 'default' };

export async function createSigner(kid: string) {
  const { privateKey, publicKey } = await generate('rsa', { modulusLength: 2048 });
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid, alg: 'RS256', use: 'sig' };
  return { privateKey, jwk, kid };
}
export type Signer = Awaited<ReturnType<typeof createSigner>>;

export interface TokenParts {
  audience?: string;
  issuer?: string;
  /** Seconds since the epoch. */
  expires?: number | undefined;
  kubernetes?: unknown;
  kid?: string;
  algorithm?: string;
}

export const boundTo = (bound: { namespace: string; name: string; uid: string; serviceAccount?: string; node?: string }) => ({
  namespace: bound.namespace,
  pod: { name: bound.name, uid: bound.uid },
  serviceaccount: { name: bound.serviceAccount ?? 'default', uid: 'sa' },
  ...(bound.node === undefined ? {} : { node: { name: bound.node, uid: 'node' } }),
});

export async function signToken(from: Signer, nowMs: number, parts: TokenParts = {}): Promise<string> {
  const seconds = Math.floor(nowMs / 1000);
  const builder = new SignJWT({ 'kubernetes.io': 'kubernetes' in parts ? parts.kubernetes : boundTo(pod), nbf: seconds })
    .setProtectedHeader({ alg: parts.algorithm ?? 'RS256', kid: parts.kid ?? from.kid })
    .setIssuer(parts.issuer ?? issuerName)
    .setAudience(parts.audience ?? 'aad-pod-identity-broker')
    .setIssuedAt(seconds);
  if (!('expires' in parts)) builder.setExpirationTime(seconds + 3600);
  else if (parts.expires !== undefined) builder.setExpirationTime(parts.expires);
  return builder.sign(from.privateKey);
}

export function fakeApiServer() {
  const calls: string[] = [];
  const state = {
    keys: [] as JWK[],
    /** Answers by path; an Error is thrown. */
    pods: new Map<string, unknown>(),
    /** Status of every TokenReview. */
    review: {} as unknown,
    /** Paths that fail with 503. */
    failing: new Set<string>(),
  };
  const client: KubeClient = {
    async call(method, path) {
      calls.push(`${method} ${path}`);
      if (state.failing.has(path)) throw new KubeError(503, '', 'down');
      if (path === '/.well-known/openid-configuration') return { issuer: issuerName };
      if (path === '/openid/v1/jwks') return { keys: state.keys };
      if (path === '/apis/authentication.k8s.io/v1/tokenreviews') return { status: state.review };
      const found = state.pods.get(path);
      if (found === undefined) throw new KubeError(404, 'NotFound', 'not found');
      return found;
    },
    watch: () => {
      throw new Error('nothing here watches');
    },
    close: async () => undefined,
  };
  return { client, calls, state, count: (part: string) => calls.filter((call) => call.includes(part)).length };
}
