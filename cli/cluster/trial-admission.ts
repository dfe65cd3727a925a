// Creates a labelled pod as a dry run: the API server calls every webhook and keeps nothing. So the webhook is seen as pods see it.
import { bindingLabel, proxyContainerName } from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import { isForbidden, KubeError } from '../../lib/kube/errors.ts';
import { at, stringAt } from '../../lib/kube/objects.ts';
import { pods, resourcePath } from '../../lib/kube/resources.ts';

/** `refused`: by a webhook, a policy or a quota; `text` is the API server's. `unreachable`: the API server could not call our webhook. */
export type TrialAdmission =
  | { readonly outcome: 'injected'; readonly ms: number }
  | { readonly outcome: 'not injected' }
  | { readonly outcome: 'unreachable' | 'refused' | 'denied' | 'failed'; readonly text: string };

/** The entry for labelled pods, as the chart names it. */
export const webhookName = 'inject.aadpodidentity.k8s.io';
const timeoutMs = 15_000;

/** Never throws, but for an aborted signal. */
export async function tryAdmission(client: KubeClient, namespace: string, signal: AbortSignal): Promise<TrialAdmission> {
  const name = 'aad-pod-identity-check';
  const body = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { [bindingLabel]: name } },
    spec: { containers: [{ name: 'app', image: name, resources: { requests: smallest, limits: smallest } }] },
  };
  const began = performance.now();
  try {
    const path = resourcePath(pods, { namespace });
    const admitted = await client.call('POST', path, { query: { dryRun: 'All' }, body, signal, timeoutMs });
    return hasProxy(admitted) ? { outcome: 'injected', ms: performance.now() - began } : { outcome: 'not injected' };
  } catch (error) {
    signal.throwIfAborted();
    const text = error instanceof Error ? error.message : String(error);
    if (text.includes(`failed calling webhook "${webhookName}"`)) return { outcome: 'unreachable', text };
    if (isForbidden(error)) return { outcome: /cannot create resource/.test(text) ? 'denied' : 'refused', text };
    return { outcome: error instanceof KubeError ? 'refused' : 'failed', text };
  }
}

/** A namespace may demand amounts. */
const smallest = { cpu: '1m', memory: '1Mi' };

function hasProxy(pod: unknown): boolean {
  const containers = ['initContainers', 'containers'].flatMap((field) => at(pod, 'spec', field));
  return containers.some((container) => stringAt(container, 'name') === proxyContainerName);
}
