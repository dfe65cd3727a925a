// Starts the real bundle on the real Bun.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { programFile } from '../../harness/bundles.ts';

const root = path.resolve(import.meta.dirname, '../../..');
const packageName = process.arch === 'arm64' ? 'bun-linux-aarch64' : 'bun-linux-x64-baseline';
export const bun = path.join(root, 'node_modules/@oven', packageName, 'bin/bun');

/** The kernel ends it with the process that started it, so that a killed test leaves none behind. */
export const onBun = ['setpriv', '--pdeathsig', 'KILL', bun, '--smol', '--no-env-file'];

export const sidecarBundle = (): Promise<string> => programFile('sidecar');

/** All spellings that Bun obeys, with a proxy that nobody can reach. */
export const unreachableProxies: Record<string, string> = Object.fromEntries(
  ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY'].flatMap((name) =>
    [name, name.toLowerCase()].map((spelling) => [spelling, 'http://127.0.0.1:1'] as const),
  ),
);

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a command of the sidecar to its end. */
export async function runSidecar(
  args: readonly string[],
  options: { prefix?: readonly string[]; env?: Record<string, string> } = {},
): Promise<Output> {
  const [command = '', ...rest] = [...(options.prefix ?? []), ...onBun, await sidecarBundle(), ...args];
  const child = spawn(command, rest, {
    env: { PATH: process.env.PATH ?? '', BUN_JSC_useJIT: '0', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output: Output = { code: null, stdout: '', stderr: '' };
  child.stdout.on('data', (chunk) => {
    output.stdout += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    output.stderr += String(chunk);
  });
  await once(child, 'close');
  output.code = child.exitCode;
  return output;
}

export interface LogLine {
  level: string;
  msg: string;
  [field: string]: unknown;
}

export interface RunningProxy {
  readonly url: string;
  readonly pid: number;
  readonly child: ChildProcess;
  readonly log: readonly LogLine[];
  /** The first line, past or to come, that fits. */
  logged(fits: (line: LogLine) => boolean): Promise<LogLine>;
  /** SIGTERM; resolves with the exit code. */
  stop(): Promise<number | null>;
}

export interface ProxyTarget {
  imds: string;
  /** `token` matters to a real broker only. */
  broker: { url: string; address: string; ca: string; token?: string };
  flags?: readonly string[];
  env?: Record<string, string>;
  prefix?: readonly string[];
}

export function startProxy(target: ProxyTarget): Promise<RunningProxy> {
  return startServing('proxy', target, (tokenFile) => [
    `--imds-url=${target.imds}`,
    `--broker-url=${target.broker.url}`,
    `--broker-address=${target.broker.address}`,
    `--broker-ca=${target.broker.ca}`,
    `--broker-token-file=${tokenFile}`,
    ...(target.flags?.some((flag) => flag.startsWith('--listen')) === true ? [] : ['--listen=127.0.0.1:0']),
  ]);
}

/** The node endpoint on this port. It reaches a broker whose URL resolves; its `url` is that of the IPv4 address. */
export function startHostEndpoint(target: ProxyTarget & { port: number }, logged = 'serving'): Promise<RunningProxy> {
  const flags = (tokenFile: string, caFile: string) => [
    `--port=${target.port}`,
    `--imds-url=${target.imds}`,
    `--broker-url=${target.broker.url}`,
    `--broker-ip=127.0.0.1`,
    `--broker-ca-file=${caFile}`,
    `--broker-token-file=${tokenFile}`,
  ];
  return startServing('host', target, flags, { logged, address: `127.0.0.1:${target.port}` });
}

/** Resolves once it logs the message. `address`: where it listens, if that line does not say it. */
async function startServing(
  command_: 'proxy' | 'host',
  target: ProxyTarget,
  flagsOf: (tokenFile: string, caFile: string) => readonly string[],
  { logged: message = 'serving', address }: { logged?: string; address?: string } = {},
): Promise<RunningProxy> {
  const directory = await mkdtemp(path.join(tmpdir(), 'sidecar-'));
  const [tokenFile, caFile] = [path.join(directory, 'token'), path.join(directory, 'ca.crt')];
  await writeFile(tokenFile, `${target.broker.token ?? 'bound-token'}\n`);
  await writeFile(caFile, target.broker.ca);
  const args = [command_, ...flagsOf(tokenFile, caFile), ...(target.flags ?? [])];
  const [command = '', ...rest] = [...(target.prefix ?? []), ...onBun, await sidecarBundle(), ...args];
  const child = spawn(command, rest, { cwd: directory, env: { BUN_JSC_useJIT: '0', ...target.env }, stdio: ['ignore', 'pipe', 'inherit'] });
  const log: LogLine[] = [];
  const watchers = new Set<(line: LogLine | undefined) => void>();
  createInterface({ input: child.stdout }).on('line', (text) => {
    const line: LogLine = JSON.parse(text);
    log.push(line);
    for (const watcher of watchers) watcher(line);
  });
  const ended = once(child, 'close').finally(() => {
    for (const watcher of watchers) watcher(undefined);
    return rm(directory, { recursive: true, force: true });
  });
  const logged = (fits: (line: LogLine) => boolean) => {
    const past = log.find(fits);
    if (past !== undefined) return Promise.resolve(past);
    return new Promise<LogLine>((resolve, reject) => {
      const watcher = (line: LogLine | undefined) => {
        if (line !== undefined && !fits(line)) return;
        watchers.delete(watcher);
        if (line === undefined) reject(new Error(`the sidecar ended without that line; it said ${JSON.stringify(log)}`));
        else resolve(line);
      };
      watchers.add(watcher);
    });
  };
  const serving = await logged((line) => line.msg === message);
  return {
    url: `http://${address ?? String(serving.address)}`,
    pid: child.pid ?? 0,
    child,
    log,
    logged,
    async stop() {
      child.kill('SIGTERM');
      await ended;
      return child.exitCode;
    },
  };
}

/** KiB, by the kernel's own account. Private is what no other copy can share: the anonymous pages, not the binary's. */
export async function memoryOf(pid: number): Promise<{ privateKiB: number; pssKiB: number; rssKiB: number }> {
  const rollup = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8');
  const value = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1] ?? Number.NaN);
  return { privateKiB: value('Anonymous'), pssKiB: value('Pss'), rssKiB: value('Rss') };
}
