// The App Service protocol of managed identities, which containers use with `interception: none` instead of a redirect of IMDS:
// docs/adr/0018-no-interception-mode.md.
import { isDeepStrictEqual } from 'node:util';
import { proxyPort } from '../../../api/names.ts';
import type { RawObject } from './raw-pod.ts';

/** Any of these in a container makes some SDK ask another endpoint than the token proxy. */
export const endpointVariables = [
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
  'IDENTITY_SERVER_THUMBPRINT',
  'IMDS_ENDPOINT',
  'MSI_ENDPOINT',
  'MSI_SECRET',
] as const;

/** What the webhook sets. The header guards against forged requests and is no secret; the pod's uid keeps randomness out of the patch. */
export const injectedVariables: readonly RawObject[] = [
  { name: 'IDENTITY_ENDPOINT', value: `http://127.0.0.1:${proxyPort}/msi/token` },
  { name: 'IDENTITY_HEADER', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } },
];

export function isInjectedVariable(variable: unknown): boolean {
  return injectedVariables.some((injected) => isDeepStrictEqual(injected, variable));
}
