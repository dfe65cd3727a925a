import type { RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { Pool } from 'undici';

/** For calls, which can be a thousand at once: a handshake for each would hold up the API server longer than the calls. */
const callConnections = 64;

interface Pools {
  calls: Pool;
  /** For watches, which keep their connections, and for the Lease, which must not wait behind other calls. */
  others: Pool;
}

/**
 * Pools of connections for as long as the TLS material stays the same; a rotated CA or client certificate gets new ones.
 */
export function dispatcherFor(origin: string) {
  let current: { key: string; pools: Pools } | undefined;
  const close = () => Promise.all(current === undefined ? [] : [current.pools.calls.close(), current.pools.others.close()]);
  return {
    get(https: RequestOptions): Pools {
      const { ca, cert, key, servername, rejectUnauthorized } = https;
      const material = JSON.stringify(
        [ca, cert, key, servername, rejectUnauthorized].map((part) => (part === undefined ? null : String(part))),
      );
      if (current?.key === material) return current.pools;
      const present = (options: object) =>
        Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null));
      // Made once: reading certificates for each connection costs more than the connection.
      const tls = { ...present({ servername, rejectUnauthorized }), secureContext: createSecureContext(present({ ca, cert, key })) };
      const options = {
        // undici's HTTP/2 leaves the stream of an aborted call without an error listener: closing then ends the process.
        allowH2: false,
        connect: { ...tls, timeout: 5_000, keepAlive: true, keepAliveInitialDelay: 15_000 },
        headersTimeout: 30_000,
        bodyTimeout: 30_000,
        keepAliveTimeout: 60_000,
      };
      // The old pools finish what they have under way and then end.
      close().catch(() => undefined);
      current = {
        key: material,
        pools: { calls: new Pool(origin, { ...options, connections: callConnections }), others: new Pool(origin, options) },
      };
      return current.pools;
    },
    async close() {
      // Every call has just been aborted, so nothing is left to wait for; destroying would make their streams fail with nobody listening.
      await close();
    },
  };
}
