// What one caller leaves to the others (docs/adr/0025-fair-budgets-of-the-broker.md).
import { tlsLimits } from '../lib/tls/limits.ts';

/** Label of the metric that counts what a limit refused or ended. */
export type BrokerLimit = 'lookups' | 'polls' | 'reviews' | 'tokens' | 'verifications';

/** A node has 250 pods at most, each of them a connection for its poll and one for other requests. All may come from the address of the node. */
const connectionsOfNode = 500;

/** `memory`: bytes that the container may use. Most of what the broker does with it is to hold the connections of sidecars. */
export function connectionLimits(memory: number): ReturnType<typeof tlsLimits> {
  const limits = tlsLimits({ memory, connectionShare: 0.5, bodyShare: 0.05 });
  return {
    ...limits,
    maxConnectionsPerSource: Math.min(connectionsOfNode, limits.maxConnectionsPerSource),
    maxWaitingPerSource: Math.min(connectionsOfNode, limits.maxWaitingPerSource),
  };
}
