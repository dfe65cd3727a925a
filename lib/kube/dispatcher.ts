import type { RequestOptions } from 'node:https';
import { createSecureContext } from 'node:tls';
import { Pool } from 'undici';

/**
 * One pool for as long as the TLS material stays the same; a rotated CA or client certificate gets a new one.
 */
export function dispatcherFor(origin: string) {
  let current: { key: string; pool: Pool } | undefined;
  return {
    get(https: RequestOptions): Pool {
      const { ca, cert, key, servername, rejectUnauthorized } = https;
      const material = JSON.stringify(
        [ca, cert, key, servername, rejectUnauthorized].map((part) => (part === undefined ? null : String(part))),
      );
      if (current?.key === material) return current.pool;
      const present = (options: object) =>
        Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined && value !== null));
      // Made once: reading certificates for each connection costs more than the connection.
      const tls = { ...present({ servername, rejectUnauthorized }), secureContext: createSecureContext(present({ ca, cert, key })) };
      // The old pool finishes what it has under way and then ends.
      if (current !== undefined) current.pool.close().catch(() => undefined);
      current = {
        key: material,
        pool: new Pool(origin, {
          // undici's HTTP/2 leaves the stream of an aborted call without an error listener: closing then ends the process.
          allowH2: false,
          connect: { ...tls, timeout: 5_000, keepAlive: true, keepAliveInitialDelay: 15_000 },
          headersTimeout: 30_000,
          bodyTimeout: 30_000,
          keepAliveTimeout: 60_000,
        }),
      };
      return current.pool;
    },
    async close() {
      // Every call has just been aborted, so nothing is left to wait for; destroying would make their streams fail with nobody listening.
      await current?.pool.close();
    },
  };
}
