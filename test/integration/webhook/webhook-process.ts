// The webhook as a process, with the rights of the chart's service account. The API server reaches it at a URL on this machine.
import { webhookServiceName } from '../../../api/names.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import type { NodeProgram, RunningProgram } from '../../harness/program.ts';
import { startProgram } from '../../harness/program.ts';
import { kubeconfigOf } from '../../harness/service-account.ts';

export interface WebhookProcess extends RunningProgram {
  /** Of the admission endpoint. */
  readonly port: number;
  readyz(): Promise<{ status: number; text: string }>;
}

export interface WebhookProcessOptions extends NodeProgram {
  plane: ControlPlane;
  client: KubeClient;
  /** Release namespace. */
  namespace: string;
  flags: readonly string[];
  file: string;
}

/** Resolves when it listens. */
export async function startWebhookProcess(options: WebhookProcessOptions): Promise<WebhookProcess> {
  const { plane, client, namespace, flags, file, nodeFlags = [], env = {}, through = [] } = options;
  const kubeconfig = await kubeconfigOf({ plane, client, namespace, name: webhookServiceName });
  const program = startProgram({
    name: 'webhook',
    command: [
      ...through,
      process.execPath,
      ...nodeFlags,
      file,
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${namespace}`,
      '--sidecar-image=sidecar:test',
      '--drain-delay=0',
      ...['admission', 'probes', 'metrics'].map((listener) => `--${listener}-listen=127.0.0.1:0`),
      ...flags,
    ],
    env: { ...process.env, ...env },
  });
  const { admissionPort, probesPort } = await program.logged((record) => record.msg === 'listening');
  return {
    ...program,
    port: Number(admissionPort),
    async readyz() {
      const response = await fetch(`http://127.0.0.1:${String(probesPort)}/readyz`);
      return { status: response.status, text: await response.text() };
    },
  };
}
