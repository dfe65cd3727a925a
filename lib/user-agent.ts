import { version } from '../api/version.ts';

/** The user agent towards Kubernetes, Resource Manager, Entra and IMDS: that of aad-pod-identity with our name (docs/reference/aad-pod-identity.md). */
export function userAgentOf(program: 'broker' | 'controller' | 'kubectl-plugin' | 'uninstall', custom: string): string {
  return `aad-pod-identity/${program}/${version} ${custom.trim()}`.trimEnd();
}
