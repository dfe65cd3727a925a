import path from 'node:path';
import type { ControlPlane } from '../cluster/control-plane.ts';
import { ask } from '../cluster/ready.ts';
import { mustRun } from '../cluster/run.ts';
import { untilEstablished } from './wait.ts';

export const crdFolder = path.resolve(import.meta.dirname, '../../charts/aad-pod-identity-webhook/crds');

/** Installs our CRDs, unless the control plane has them; resolves once the API server serves them. */
export async function installCrds({ url, ca, token, kubectl, kubeconfig }: ControlPlane): Promise<void> {
  if ((await ask(`${url}/apis/aadpodidentity.k8s.io/v1`, { ca, token })).status === 200) return;
  const run = (...args: string[]) => mustRun(kubectl, [...args, '-f', crdFolder], { env: { KUBECONFIG: kubeconfig }, timeoutSeconds: 60 });
  await run('apply');
  await untilEstablished(() => run('wait', '--for=condition=Established'));
}
