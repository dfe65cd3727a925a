// How the broker looks from the nodes: one token proxy on each node says whether it reaches it. Nothing is created for that.
import type { KubeConfig } from '@kubernetes/client-node';
import { metadataOf, stringAt } from '../../lib/kube/objects.ts';
import { isProxyRunning } from './pod-facts.ts';
import type { SidecarView } from './sidecar-view.ts';
import { askSidecar } from './sidecar-view.ts';

export interface NodeView {
  readonly node: string;
  readonly namespace: string;
  readonly pod: string;
  readonly view: SidecarView;
}

export interface NodeViews {
  readonly asked: readonly NodeView[];
  /** Nodes with injected pods that were not asked, because there are too many. */
  readonly leftOut: number;
}

/** The command takes seconds at most. */
const mostNodes = 20;

export async function readNodeViews(config: KubeConfig, injectedPods: readonly unknown[]): Promise<NodeViews> {
  const chosen = onePerNode(injectedPods);
  const asked = chosen.slice(0, mostNodes).map(async (target) => ({ ...target, view: await askSidecar(config, target) }));
  return { asked: await Promise.all(asked), leftOut: Math.max(0, chosen.length - mostNodes) };
}

/** In the order of the nodes' names. */
export function onePerNode(injectedPods: readonly unknown[]): Omit<NodeView, 'view'>[] {
  const byNode = new Map<string, Omit<NodeView, 'view'>>();
  for (const raw of injectedPods) {
    const node = stringAt(raw, 'spec', 'nodeName') ?? '';
    const { namespace, name: pod } = metadataOf(raw);
    if (node !== '' && namespace !== undefined && pod !== undefined && isProxyRunning(raw)) byNode.set(node, { node, namespace, pod });
  }
  return [...byNode.values()].sort((a, b) => (a.node < b.node ? -1 : 1));
}
