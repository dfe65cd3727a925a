// A program of this repository as a process, and the records of its log.
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { isRecord } from '../../lib/kube/objects.ts';
import { limitSeconds } from './wait.ts';

export type LogRecord = Readonly<Record<string, unknown>>;

export interface RunningProgram {
  readonly process: ChildProcess;
  /** Every record so far. */
  readonly log: readonly LogRecord[];
  /** The first record that matches, past or to come. Rejects when the program ends before it, or when the time is over. */
  logged(matches: (record: LogRecord) => boolean): Promise<LogRecord>;
  /** Sends the signal and waits for the end; returns the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** How node starts a program. */
export interface NodeProgram {
  /** The bundle of the tests by default. */
  file?: string;
  nodeFlags?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** A command that runs the one behind it, such as one that limits its memory. */
  through?: readonly string[];
}

export interface ProgramOptions {
  /** Stands in error messages. */
  name: string;
  /** The program and its arguments. */
  command: readonly string[];
  env?: NodeJS.ProcessEnv;
  cwd?: string;
}

interface Waiter {
  matches(record: LogRecord): boolean;
  resolve(record: LogRecord): void;
  reject(error: Error): void;
}

export function startProgram({ name, command, env = process.env, cwd }: ProgramOptions): RunningProgram {
  // The kernel ends it with the test, so that a killed test leaves none behind.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', ...command], { stdio: ['ignore', 'pipe', 'pipe'], env, cwd });
  const log: LogRecord[] = [];
  const waiters = new Set<Waiter>();
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  createInterface(child.stdout).on('line', (line) => {
    const record: unknown = JSON.parse(line);
    if (!isRecord(record)) return;
    log.push(record);
    for (const waiter of waiters) if (waiter.matches(record)) waiter.resolve(record);
  });

  let ended: Error | undefined;
  const end = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      const last = log.slice(-5).map((record) => JSON.stringify(record));
      ended = new Error(`the ${name} ended: ${stderr}\n${last.join('\n')}`);
      for (const waiter of waiters) waiter.reject(ended);
      resolve(code);
    });
  });

  return {
    process: child,
    log,
    async logged(matches) {
      const past = log.find(matches);
      if (past !== undefined) return past;
      if (ended !== undefined) throw ended;
      const { promise, resolve, reject } = Promise.withResolvers<LogRecord>();
      const waiter: Waiter = { matches, resolve, reject };
      waiters.add(waiter);
      const refuse = () => reject(new Error(`the ${name} logged no such record in ${limitSeconds} s: ${matches}`));
      const limit = setTimeout(refuse, limitSeconds * 1000);
      try {
        return await promise;
      } finally {
        clearTimeout(limit);
        waiters.delete(waiter);
      }
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal);
      return end;
    },
  };
}
