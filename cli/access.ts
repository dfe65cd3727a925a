// The cluster of the chosen context, for one command.
import type { KubeConfig } from '@kubernetes/client-node';
import type { KubeClient } from '../lib/kube/client.ts';
import { connectWith } from '../lib/kube/client.ts';
import { loadKubeconfig } from '../lib/kube/kubeconfig.ts';
import { userAgentOf } from '../lib/user-agent.ts';
import type { Reader } from './cluster/reader.ts';
import { createReader } from './cluster/reader.ts';

export interface Access {
  client: KubeClient;
  config: KubeConfig;
  reader: Reader;
  /** Of the command line, else of the context. */
  namespace: string;
  signal: AbortSignal;
}

export interface AccessOptions {
  kubeconfig: string | undefined;
  context: string | undefined;
  namespace: string | undefined;
}

/** A person waits, and a command reads some lists at once. */
const qps = 100;

/** Throws {@link SettingsError} for a kubeconfig that cannot be used. */
export async function withAccess<T>(options: AccessOptions, use: (access: Access) => Promise<T>): Promise<T> {
  const config = loadKubeconfig(options);
  const client = connectWith(config, { userAgent: userAgentOf('kubectl-plugin', ''), qps });
  const stopping = new AbortController();
  const interrupt = () => stopping.abort(new Error('interrupted'));
  process.once('SIGINT', interrupt);
  try {
    const namespace = options.namespace ?? config.getContextObject(config.getCurrentContext())?.namespace ?? 'default';
    const { signal } = stopping;
    return await use({ client, config, reader: createReader(client, signal), namespace, signal });
  } finally {
    process.off('SIGINT', interrupt);
    await client.close();
  }
}
