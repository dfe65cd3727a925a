import { podOf } from '../../lib/identities/pod.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isNotFound } from '../../lib/kube/errors.ts';
import { pods, resourcePath } from '../../lib/kube/resources.ts';

/** Asks the API server. True for a pod that no informer of labelled pods will ever show: it is gone or lost its label. */
export async function isPodAbsent(client: KubeClient, podKey: string): Promise<boolean> {
  const [namespace = '', name = ''] = podKey.split('/');
  if (namespace === '' || name === '') return true;
  try {
    return podOf(await client.call('GET', resourcePath(pods, { namespace, name }))) === undefined;
  } catch (error) {
    if (isNotFound(error)) return true;
    throw error;
  }
}
