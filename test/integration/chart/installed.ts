// An API server with the chart installed by helm. No program runs.
import type { WebhookEntry } from '../../../controller/certificates/webhook-entries-setting.ts';
import { parseWebhookEntries } from '../../../controller/certificates/webhook-entries-setting.ts';
import type { KubeClient } from '../../../lib/kube/client.ts';
import { connect } from '../../../lib/kube/client.ts';
import { at } from '../../../lib/kube/objects.ts';
import { chart, required } from '../../chart/render.ts';
import { findHelm } from '../../cluster/binaries.ts';
import type { ControlPlane } from '../../cluster/control-plane.ts';
import { mustRun } from '../../cluster/run.ts';
import { leaseControlPlane } from '../../harness/control-plane.ts';
import { kubeconfigOf } from '../../harness/service-account.ts';

/** Not `default`, so that nothing works only in the default namespace. */
export const releaseNamespace = 'identity-system';

export interface InstalledChart {
  plane: ControlPlane;
  admin: KubeClient;
  /** Throws where helm fails. */
  helm(...args: string[]): Promise<string>;
  /** A client with the rights of a service account of the release namespace. */
  as(serviceAccount: string): Promise<KubeClient>;
  stop(): Promise<void>;
}

export async function installChart(...flags: string[]): Promise<InstalledChart> {
  const plane = await leaseControlPlane();
  const admin = connect({ kubeconfig: plane.kubeconfig, userAgent: 'test', qps: 2_000 });
  const clients = [admin];
  const program = await findHelm(() => undefined);
  const helm = (...args: string[]) => mustRun(program, args, { env: { KUBECONFIG: plane.kubeconfig }, timeoutSeconds: 120 });
  const stop = async () => {
    await Promise.all(clients.map((client) => client.close()));
    await plane.stop();
  };
  try {
    await helm('install', 'webhook', chart, '-n', releaseNamespace, '--create-namespace', ...required, ...flags);
  } catch (error) {
    await stop();
    throw error;
  }
  return {
    plane,
    admin,
    helm,
    async as(name) {
      const kubeconfig = await kubeconfigOf({ plane, client: admin, namespace: releaseNamespace, name });
      const client = connect({ kubeconfig, userAgent: 'test', qps: 2_000 });
      clients.push(client);
      return client;
    },
    stop,
  };
}

/** What the chart gives the controller. */
export async function entriesOfChart(client: KubeClient, namespace: string): Promise<readonly WebhookEntry[]> {
  const deployment = await client.call('GET', `/apis/apps/v1/namespaces/${namespace}/deployments/aad-pod-identity-controller`);
  const [container] = at(deployment, 'spec', 'template', 'spec', 'containers') as { env: { name: string; value?: string }[] }[];
  return parseWebhookEntries(container?.env.find(({ name }) => name === 'WEBHOOK_ENTRIES')?.value ?? '');
}
