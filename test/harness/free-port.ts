import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';

/**
 * A port of 127.0.0.1 for a program that cannot choose one itself. It lies below the range that the kernel hands to clients, so that no connection takes
 * it before the program does, or while the program restarts.
 */
export async function freePort(): Promise<number> {
  const port = 20_000 + randomInt(12_000);
  const server = createServer().listen(port, '127.0.0.1');
  try {
    await once(server, 'listening');
  } catch {
    return freePort();
  }
  server.close();
  await once(server, 'close');
  return port;
}
