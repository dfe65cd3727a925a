import { version } from '../api/version.ts';

/** The user agent towards Kubernetes, Resource Manager, Entra and IMDS: that of aad-pod-identity with our name (docs/reference/aad-pod-identity.md). */
export function userAgentOf(custom: string): string {
  return `aad-pod-identity/controller/${version} ${custom.trim()}`.trimEnd();
}
