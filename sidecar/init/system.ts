// What `init` needs of the system: child processes, a listener, a route, a file.
import { proxyPort } from '../../api/names.ts';
import { CommandError } from '../errors.ts';
import type { Log } from '../log.ts';
import { noncePath } from '../nonce.ts';
import type { Run } from './apply.ts';
import type { InitDependencies } from './init.ts';
import type { Connected } from './verify-denial.ts';

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

export function createSystem(log: Log): InitDependencies {
  return { log, run, get, connect, listen, hasRoute, legacyTables };
}

const run: Run = async (command, input = '') => {
  const [name = ''] = command;
  const file = Bun.which(name, { PATH: path });
  if (file === null) throw new CommandError('iptables_missing', `${name} is not in this image`);
  const lock = process.env.XTABLES_LOCKFILE;
  const child = Bun.spawn([file, ...command.slice(1)], {
    stdin: new TextEncoder().encode(input),
    stdout: 'pipe',
    stderr: 'pipe',
    env: { PATH: path, ...(lock === undefined ? {} : { XTABLES_LOCKFILE: lock }) },
  });
  const [stdout, stderr, code] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text(), child.exited]);
  return { code, stdout, stderr };
};

async function get(url: string): Promise<string | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(2000), redirect: 'manual', keepalive: false });
    return (await response.text()).trim();
  } catch {
    return undefined;
  }
}

async function connect(hostname: string, port: number): Promise<Connected> {
  const { promise: late, resolve } = Promise.withResolvers<Connected>();
  const timer = setTimeout(() => resolve('unanswered'), 2000);
  const attempt = Bun.connect({ hostname, port, socket: { data: () => undefined } }).then(
    (socket): Connected => {
      socket.terminate();
      return 'accepted';
    },
    (error: unknown): Connected => (hasCode(error, 'ECONNREFUSED') ? 'refused' : 'unanswered'),
  );
  try {
    return await Promise.race([attempt, late]);
  } finally {
    clearTimeout(timer);
  }
}

function listen(nonce: string): { stop(): Promise<void> } | undefined {
  try {
    const server = Bun.serve({
      hostname: '127.0.0.1',
      port: proxyPort,
      fetch: (request) => (new URL(request.url).pathname === noncePath ? new Response(nonce) : new Response(null, { status: 404 })),
    });
    return { stop: () => server.stop(true) };
  } catch (error) {
    if (hasCode(error, 'EADDRINUSE')) return undefined;
    throw error;
  }
}

async function hasRoute(address: string): Promise<boolean> {
  try {
    // Connecting a datagram socket asks the kernel for the route and sends nothing.
    const socket = await Bun.udpSocket({ connect: { hostname: address, port: 80 } });
    socket.close();
    return true;
  } catch (error) {
    if (hasCode(error, 'ENETUNREACH', 'EHOSTUNREACH')) return false;
    throw error;
  }
}

async function legacyTables(): Promise<string> {
  // Not Bun.file, which reads nothing from a file of size 0. Imported here, because the module costs memory (docs/reference/bun.md), which the
  // proxy would hold too.
  const { readFile } = await import('node:fs/promises');
  return readFile('/proc/net/ip_tables_names', 'utf8').catch(() => '');
}

function hasCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => error.code === code);
}
