// Containers of a guarded namespace lose NET_RAW, which container runtimes give to root by default: docs/reference/iptables.md#packet-sockets.
import { isRecord } from '../../common/records.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';

/** The same object where the capability is dropped already, or where the API server will refuse the shape. */
export function withoutNetRaw(container: RawObject): RawObject {
  const securityContext = container.securityContext ?? {};
  if (!isRecord(securityContext)) return container;
  const capabilities = securityContext.capabilities ?? {};
  if (!isRecord(capabilities)) return container;
  const drop = capabilities.drop ?? [];
  if (!Array.isArray(drop) || drop.some(isDropped)) return container;
  return {
    ...container,
    securityContext: { ...securityContext, capabilities: { ...capabilities, drop: [...(drop as unknown[]), 'NET_RAW'] } },
  };
}

const isDropped = (name: unknown): boolean => typeof name === 'string' && ['NET_RAW', 'ALL'].includes(name.toUpperCase());
