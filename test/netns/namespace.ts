// Network namespaces that a child process holds: they are gone with this process, however it ends.
import type { ChildProcessByStdio } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlink, writeFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';

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

/** Of a pod's user namespace: the users from 0 on inside are those from here on outside. */
const podUsers = { first: 100_000, count: 65_536 };
/** A user id inside of a pod's user namespace, as the rest of the machine sees it. */
export const outsideId = (id: number) => podUsers.first + id;

export interface NamespaceOptions {
  /** Whether a user namespace owns it, as with `hostUsers: false`. Programs enter that one with {@link inPodUsers}. */
  ownUsers?: boolean;
}

/** Prefix of a command in a network namespace with its own users: user 0 of these runs it. */
export const inPodUsers = ({ pid }: { pid: number }) => ['nsenter', '--target', String(pid), '--user'];

export async function createNamespace({ ownUsers = false }: NamespaceOptions = {}): Promise<Namespace> {
  const users = ownUsers ? await createUsers() : undefined;
  const enter = users === undefined ? [] : inPodUsers({ pid: users.pid });
  const { holder, pid } = await hold([...enter, 'unshare', '--net'], 'net');
  users?.holder.stdin.end();
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

type Holder = ChildProcessByStdio<Writable, null, null>;

/** Starts `cat` in a new namespace of this kind, which lives as long as it. `cat` ends with this process, because its input does. */
async function hold([command = '', ...args]: readonly string[], kind: 'net' | 'user'): Promise<{ holder: Holder; pid: number }> {
  const holder = spawn(command, [...args, 'cat'], { stdio: ['pipe', 'ignore', 'inherit'] });
  const own = await readlink(`/proc/self/ns/${kind}`);
  const { pid } = holder;
  if (pid === undefined) throw new Error(`${command} does not start`);
  while ((await readlink(`/proc/${pid}/ns/${kind}`).catch(() => own)) === own) {
    if (holder.exitCode !== null) throw new Error(`a namespace of kind ${kind} cannot be made`);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { holder, pid };
}

/** Its users are mapped before it gets a network namespace, as a container runtime does: files of /proc/net belong to its user 0 then. */
async function createUsers(): Promise<{ holder: Holder; pid: number }> {
  const users = await hold(['unshare', '--user'], 'user');
  for (const map of ['uid_map', 'gid_map']) await writeFile(`/proc/${users.pid}/${map}`, `0 ${podUsers.first} ${podUsers.count}`);
  return users;
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
