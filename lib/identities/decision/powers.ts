// Containers that can undo what our init container did, or get round it.
import type { ContainerView } from './container-view.ts';

const ruleChanging: ReadonlySet<string> = new Set(['NET_ADMIN', 'SYS_ADMIN', 'BPF', 'ALL']);

/** The container may change the packet rules of its pod. */
export function canChangeRules({ privileged, capabilities }: ContainerView): boolean {
  return privileged || capabilities.some((name) => ruleChanging.has(name));
}

const rulePassing: ReadonlySet<string> = new Set(['NET_RAW', 'SYS_PTRACE', 'SYS_MODULE']);

/**
 * Or send frames that pass no packet rule (docs/reference/iptables.md#packet-sockets), act as the token proxy where processes are shared, or change the
 * kernel.
 */
export function canPassRules(container: ContainerView): boolean {
  return canChangeRules(container) || container.capabilities.some((name) => rulePassing.has(name));
}
