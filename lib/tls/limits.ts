// The limits of a TLS server, derived from the memory that its container may use (docs/adr/0024-connection-and-memory-limits.md).
import type { TlsLimits } from './paced-handshakes.ts';
import type { BodyLimits } from './request-bodies.ts';

/** Resident memory of an idle TLS connection, and of a socket that waits for its handshake with the longest ClientHello: measured, and rounded up. */
const connectionBytes = 80 * 1024;
const waitingBytes = 16 * 1024;

export interface LimitOptions {
  /** Bytes that the container may use. */
  memory: number;
  /** Share of it for TLS connections. */
  connectionShare: number;
  /** Share of it for the bodies of requests. */
  bodyShare: number;
}

const waitingShare = 0.06;
/**
 * Longer than an admission may take by default. A busy client can leave a connection without a request for seconds although it is about to send one, and
 * a request on a connection that was just closed fails.
 */
const quietMs = 6_000;

/** No source has more than half, so that two sources do not see each other. */
export function tlsLimits({ memory, connectionShare, bodyShare }: LimitOptions): TlsLimits & BodyLimits {
  const maxConnections = Math.floor((memory * connectionShare) / connectionBytes);
  const maxWaiting = Math.floor((memory * waitingShare) / waitingBytes);
  return {
    maxConnections,
    maxConnectionsPerSource: Math.floor(maxConnections / 2),
    quietMs,
    maxWaiting,
    maxWaitingPerSource: Math.floor(maxWaiting / 2),
    maxBodyBytes: Math.floor(memory * bodyShare),
    bodyMs: 1_000,
  };
}
