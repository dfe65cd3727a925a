// The configuration as kubectl reads it, and an error for each way in which it cannot be used.
// Not the index of the package: that loads its generated classes of every kind, 13 MiB (docs/reference/node-runtime.md#memory).
import { KubeConfig } from '@kubernetes/client-node/dist/config.js';
import { SettingsError } from '../settings.ts';

export interface KubeconfigOptions {
  /** Path of a file. Undefined: $KUBECONFIG, else ~/.kube/config, else the service account of the pod. */
  kubeconfig?: string | undefined;
  /** Name of a context in place of the current one. */
  context?: string | undefined;
}

/** A configuration whose current context has a cluster. Throws {@link SettingsError}. */
export function loadKubeconfig({ kubeconfig, context }: KubeconfigOptions): KubeConfig {
  const config = new KubeConfig();
  try {
    if (kubeconfig === undefined) config.loadFromDefault();
    else config.loadFromFile(kubeconfig);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new SettingsError(`--kubeconfig is '${kubeconfig ?? ''}': accepted is a kubeconfig file (${why})`);
  }
  if (context !== undefined) {
    const names = config.getContexts().map(({ name }) => name);
    if (!names.includes(context))
      throw new SettingsError(
        `--context is '${context}': accepted is a context of the kubeconfig, which has ${names.join(', ') || 'none'}`,
      );
    config.setCurrentContext(context);
  }
  if (config.getCurrentCluster() === null)
    throw new SettingsError('the kubeconfig has no current context: set current-context to a context with a cluster');
  return config;
}
