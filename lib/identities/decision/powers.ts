// Containers that can undo what our init container did, or get round it.
import type { ContainerView } from './container-view.ts';

const ruleChanging: ReadonlySet<string> = new Set(['NET_ADMIN', 'SYS_ADMIN', 'BPF', 'ALL']);

/** The container may change the packet rules of its pod. */
export function canChangeRules({ privileged, capabilities }: ContainerView): boolean {
  return privileged || capabilities.some((name) => ruleChanging.has(name));
}

/** Or send frames that pass no packet rule: docs/reference/iptables.md#packet-sockets. */
export function canPassRules(container: ContainerView): boolean {
  return canChangeRules(container) || container.capabilities.includes('NET_RAW');
}
