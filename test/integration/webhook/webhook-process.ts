// The webhook as a process, with the rights of the chart's service account. The API server reaches it at a URL on this machine.
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { webhookServiceName } from '../../../api/names.ts';
import { stringAt } from '../../../common/records.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { renderKubeconfig } from '../../cluster/access.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import type { RunningProgram } from '../../harness/program.ts';
import { startProgram } from '../../harness/program.ts';

export interface WebhookProcess extends RunningProgram {
  /** Of the admission endpoint. */
  readonly port: number;
  readyz(): Promise<{ status: number; text: string }>;
}

export interface WebhookProcessOptions {
  plane: ControlPlane;
  client: KubeClient;
  /** Release namespace. */
  namespace: string;
  flags: readonly string[];
  /** Source file or bundle. */
  file: string;
}

/** Resolves when it listens. */
export async function startWebhookProcess({ plane, client, namespace, flags, file }: WebhookProcessOptions): Promise<WebhookProcess> {
  const kubeconfig = path.join(plane.folder, `webhook-${randomBytes(4).toString('hex')}.json`);
  const token = await requestToken(client, namespace);
  writeFileSync(kubeconfig, renderKubeconfig(plane.url, plane.ca, { name: 'webhook', groups: [], token }), { mode: 0o600 });
  const program = startProgram({
    name: 'webhook',
    command: [
      process.execPath,
      file,
      `--kubeconfig=${kubeconfig}`,
      `--namespace=${namespace}`,
      '--sidecar-image=sidecar:test',
      '--drain-delay=0',
      ...['admission', 'probes', 'metrics'].map((listener) => `--${listener}-listen=127.0.0.1:0`),
      ...flags,
    ],
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

async function requestToken(client: KubeClient, namespace: string): Promise<string> {
  const account = `/api/v1/namespaces/${namespace}/serviceaccounts/${webhookServiceName}/token`;
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} };
  return stringAt(await client.call('POST', account, { body }), 'status', 'token') ?? '';
}
