// Programs that keep running: their output goes to a file, a start waits until they answer, a stop ends them for certain.

import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { findOnPath, lastLines } from './run.ts';

export interface Command {
  name: string;
  file: string;
  args: string[];
  env?: Record<string, string>;
  cwd?: string;
}

export interface Running {
  name: string;
  pid: number;
  logFile: string;
  /** Resolves with how it ended, never rejects. */
  exited: Promise<string>;
  /** SIGTERM, then SIGKILL after the grace period; resolves when the program has ended. */
  stop(graceSeconds: number): Promise<void>;
}

function ending(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.on('error', (error) => resolve(`could not be started: ${error.message}`));
    child.on('exit', (code, signal) => resolve(signal === null ? `ended with ${code}` : `was ended by ${signal}`));
  });
}

/** The kernel ends the program with this process, however this process ends (where setpriv exists). */
export function start(command: Command, logFile: string): Running {
  const log = openSync(logFile, 'a');
  const setpriv = process.platform === 'linux' ? findOnPath('setpriv') : undefined;
  const [file, args] =
    setpriv === undefined ? [command.file, command.args] : [setpriv, ['--pdeathsig', 'KILL', '--', command.file, ...command.args]];
  const child = spawn(file, args, { stdio: ['ignore', log, log], cwd: command.cwd, env: { ...process.env, ...command.env } });
  closeSync(log);
  let gone = false;
  const exited = ending(child).then((how) => {
    gone = true;
    return how;
  });
  const stop = async (graceSeconds: number) => {
    if (gone) return;
    child.kill('SIGTERM');
    const timer = new AbortController();
    await Promise.race([exited, sleep(graceSeconds * 1000, undefined, { signal: timer.signal }).catch(() => {})]);
    timer.abort();
    if (!gone) child.kill('SIGKILL');
    await exited;
  };
  return { name: command.name, pid: child.pid ?? 0, logFile, exited, stop };
}

/** Error text with the end of the program's output. */
function describeFailure(running: Running, what: string): string {
  let log = '';
  try {
    log = lastLines(readFileSync(running.logFile, 'utf8'), 12);
  } catch {
    // Nothing was written.
  }
  return `${running.name} ${what}; the end of ${running.logFile}:\n${log}`;
}

/** Calls `ready` until it returns true. Fails as soon as the program ends, or when the time is over. */
export async function untilReady(running: Running, ready: () => Promise<boolean>, seconds: number): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  let ended: string | undefined;
  void running.exited.then((how) => {
    ended = how;
  });
  while (!(await ready().catch(() => false))) {
    if (ended !== undefined) throw new Error(describeFailure(running, ended));
    if (Date.now() > deadline) throw new Error(describeFailure(running, `is not ready after ${seconds} s`));
    await sleep(50);
  }
}
