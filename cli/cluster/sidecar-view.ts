// What the token proxy of a pod says of itself, asked in its container.
import type { KubeConfig } from '@kubernetes/client-node';
import { proxyContainerName, sidecarCommand } from '../../api/names.ts';
import type { SidecarStatus } from '../../api/sidecar-status.ts';
import { exec } from './exec.ts';
import { parseSidecarStatus } from './sidecar-status.ts';

/** `isDenied`: the user may not exec. */
export type SidecarView = { readonly status: SidecarStatus } | { readonly failure: string; readonly isDenied?: true };

const timeoutMs = 8_000;

export async function askSidecar(config: KubeConfig, target: { namespace: string; pod: string }): Promise<SidecarView> {
  const result = await exec(config, { ...target, container: proxyContainerName, command: [...sidecarCommand, 'status'] }, timeoutMs);
  if ('failure' in result) return result;
  const status = parseSidecarStatus(result.stdout);
  return status === undefined ? { failure: 'its answer is no status: it may be of an older version' } : { status };
}
