// `interception: none`: what the app's containers get instead of a redirect, the App Service protocol of managed identities (design 4).
import { isDeepStrictEqual } from 'node:util';
import { proxyPort } from '../api/names.ts';
import { isRecord } from '../lib/kube/objects.ts';
import type { RawObject } from './pod.ts';

/** Any of these in a container would send some SDK elsewhere than to our endpoint. */
export const endpointVariables = [
  'IDENTITY_ENDPOINT',
  'IDENTITY_HEADER',
  'IDENTITY_SERVER_THUMBPRINT',
  'IMDS_ENDPOINT',
  'MSI_ENDPOINT',
  'MSI_SECRET',
] as const;

// The header is no secret but a guard against forged requests; the pod's uid needs no randomness in the patch.
const ours: readonly RawObject[] = [
  { name: 'IDENTITY_ENDPOINT', value: `http://127.0.0.1:${proxyPort}/msi/token` },
  { name: 'IDENTITY_HEADER', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.uid' } } },
];

export function isOurVariable(variable: unknown): boolean {
  return ours.some((item) => isDeepStrictEqual(item, variable));
}

export function withVariables(container: RawObject): RawObject {
  return { ...container, env: [...(Array.isArray(container.env) ? container.env : []), ...ours] };
}

/** Name of the first variable that would compete with ours. */
export function competingVariable(container: RawObject): string | undefined {
  if (!Array.isArray(container.env)) return undefined;
  const names = container.env.filter(isRecord).map((variable) => variable.name);
  return endpointVariables.find((name) => names.includes(name));
}
