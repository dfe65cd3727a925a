// What the sidecar is measured beside: the least that the same runtime does with the same flags.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { onBun } from '../integration/sidecar/process.ts';
import { fillIn } from './options.ts';

export interface RunningReference {
  url: string;
  pid: number;
  stop(): Promise<void>;
}

const environment = { PATH: process.env.PATH ?? '', BUN_JSC_useJIT: '0' };

async function stop(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit');
  child.kill();
  if (child.exitCode === null && child.signalCode === null) await ended;
}

/** A bare `Bun.serve` that gives the same body and headers to every request. */
export async function startBareServer(headers: Record<string, string>, body: string): Promise<RunningReference> {
  const script = `const headers = ${JSON.stringify(headers)}, body = ${JSON.stringify(body)};
    const server = Bun.serve({ hostname: '127.0.0.1', port: 0, fetch: () => new Response(body, { headers }) });
    console.log(server.port);`;
  const [command = '', ...args] = [...onBun, '-e', script];
  const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  const [port] = (await once(createInterface({ input: child.stdout }), 'line')) as [string];
  return { url: `http://127.0.0.1:${port}`, pid: child.pid ?? 0, stop: () => stop(child) };
}

/** Milliseconds until a script that does nothing else has printed a line. */
export async function emptyScriptStart(): Promise<number> {
  const [command = '', ...args] = [...onBun, '-e', "console.log('up')"];
  const began = performance.now();
  const child = spawn(command, args, { env: environment, stdio: ['ignore', 'pipe', 'inherit'] });
  await once(createInterface({ input: child.stdout }), 'line');
  const took = performance.now() - began;
  await stop(child);
  return took;
}

/** Another proxy, of --against; it is ready when its port takes a connection. */
export function startOther(command: string, values: { port: string; imds: string }): RunningReference {
  const [file = '', ...args] = fillIn(command, values);
  const child = spawn(file, args, { stdio: ['ignore', 'ignore', 'inherit'] });
  return { url: `http://127.0.0.1:${values.port}`, pid: child.pid ?? 0, stop: () => stop(child) };
}
