import { version } from '../api/version.ts';

/** How this program calls itself towards Kubernetes, Resource Manager, Entra and IMDS; upstream's form with our own part (spec/aad-pod-identity.md 2.12). */
export function userAgentOf(custom: string): string {
  return `aad-pod-identity/controller/${version} ${custom.trim()}`.trimEnd();
}
