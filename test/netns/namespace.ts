// Network namespaces that a child process holds: they are gone with this process, however it ends.
import type { ChildProcessByStdio } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink } from 'node:fs/promises';
import type { Readable } from 'node:stream';

export interface Output {
  code: number | null;
  stdout: string;
  stderr: string;
}

export interface Namespace {
  readonly pid: number;
  /** Runs a program in it to its end. */
  run(command: readonly string[], options?: RunOptions): Promise<Output>;
  /** Runs a program as {@link run} does and returns its output. Rejects when it fails. */
  must(command: string | readonly string[]): Promise<string>;
  /** Starts a program that prints a line when it is ready and ends when its input ends. */
  start(command: readonly string[]): Promise<{ stop(): Promise<void> }>;
  close(): Promise<void>;
}

export interface RunOptions {
  env?: Record<string, string>;
}

export async function createNamespace(): Promise<Namespace> {
  // `cat` ends with this process, because its input does.
  const holder = spawn('unshare', ['--net', 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const own = await readlink('/proc/self/ns/net');
  const pid = holder.pid;
  if (pid === undefined) throw new Error('unshare does not start');
  while ((await readlink(`/proc/${pid}/ns/net`).catch(() => own)) === own) {
    if (holder.exitCode !== null) throw new Error('a network namespace cannot be made');
    await new Promise((resolve) => setImmediate(resolve));
  }
  const inside = (command: readonly string[]) => ['--target', String(pid), '--net', ...command];
  const namespace: Namespace = {
    pid,
    async run(command, options = {}) {
      const child = spawn('nsenter', inside(command), { env: { ...process.env, ...options.env }, stdio: ['ignore', 'pipe', 'pipe'] });
      return collect(child);
    },
    async must(command) {
      const words = typeof command === 'string' ? command.split(' ') : command;
      const { code, stdout, stderr } = await namespace.run(words);
      if (code !== 0) throw new Error(`${words.join(' ')}: exit ${code}: ${stderr}`);
      return stdout;
    },
    async start(command) {
      const child = spawn('nsenter', inside(command), { stdio: ['pipe', 'pipe', 'inherit'] });
      const ended = once(child, 'close');
      const ready = await Promise.race([once(child.stdout, 'data').then(() => true), ended.then(() => false)]);
      if (!ready) throw new Error(`${command.join(' ')} ended at once`);
      child.stdout.resume();
      return {
        async stop() {
          child.stdin.end();
          await ended;
        },
      };
    },
    async close() {
      const ended = once(holder, 'close');
      holder.stdin.end();
      await ended;
    },
  };
  await namespace.must('ip link set lo up');
  return namespace;
}

async function collect(child: ChildProcessByStdio<null, Readable, Readable>): Promise<Output> {
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
