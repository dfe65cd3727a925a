// What `init` needs of Bun: child processes, a listener, a socket, a file.
import { readFile } from 'node:fs/promises';
import { proxyPort } from '../../api/names.ts';
import { Failure } from '../failure.ts';
import type { Log } from '../log.ts';
import type { InitWorld } from './init.ts';
import { noncePath } from './selftest.ts';

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function bunInitWorld(log: Log): InitWorld {
  return {
    log,
    async run(command, input = '') {
      const [name = ''] = command;
      const file = Bun.which(name, { PATH: path });
      if (file === null) throw new Failure(`${name} is not in this image`);
      const lock = process.env.XTABLES_LOCKFILE;
      const child = Bun.spawn([file, ...command.slice(1)], {
        stdin: new TextEncoder().encode(input),
        stdout: 'pipe',
        stderr: 'pipe',
        env: { PATH: path, ...(lock === undefined ? {} : { XTABLES_LOCKFILE: lock }) },
      });
      const [stdout, stderr, code] = await Promise.all([
        new Response(child.stdout).text(),
        new Response(child.stderr).text(),
        child.exited,
      ]);
      return { code, stdout, stderr };
    },
    async get(url) {
      try {
        const answer = await fetch(url, { signal: AbortSignal.timeout(2000), redirect: 'manual', keepalive: false });
        return (await answer.text()).trim();
      } catch {
        return undefined;
      }
    },
    listen(nonce) {
      try {
        const server = Bun.serve({
          hostname: '127.0.0.1',
          port: proxyPort,
          fetch: (request) => (new URL(request.url).pathname === noncePath ? new Response(nonce) : new Response(null, { status: 404 })),
        });
        return { stop: () => server.stop(true) };
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EADDRINUSE') return undefined;
        throw error;
      }
    },
    async hasRoute(address) {
      try {
        // Connecting a datagram socket asks the kernel for the route and sends nothing.
        const socket = await Bun.udpSocket({ connect: { hostname: address, port: 80 } });
        socket.close();
        return true;
      } catch (error) {
        if (error instanceof Error && 'code' in error && (error.code === 'ENETUNREACH' || error.code === 'EHOSTUNREACH')) return false;
        throw error;
      }
    },
    async legacyTables() {
      // Not Bun.file: it reads nothing from this file of size 0.
      return readFile('/proc/net/ip_tables_names', 'utf8').catch(() => '');
    },
  };
}
