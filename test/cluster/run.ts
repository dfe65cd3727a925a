// Programs that run to their end.
import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import path from 'node:path';
import type { Log } from './cache.ts';

export interface Result {
  stdout: string;
  stderr: string;
  code: number;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string | undefined>;
  input?: string;
  timeoutSeconds?: number;
  /** Called with each piece of its stderr. */
  onStderr?: (text: string) => void;
}

/** Resolves whatever the exit code is (128 + number for a signal); rejects only where the program cannot be started. */
export function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Result> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      cwd: options.cwd,
      env: options.env === undefined ? process.env : { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: options.timeoutSeconds === undefined ? undefined : options.timeoutSeconds * 1000,
      killSignal: 'SIGKILL',
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      options.onStderr?.(text);
    });
    // A program may end without reading its input.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
    child.on('error', (error) => reject(new Error(`cannot start ${file}: ${error.message}`)));
    child.on('close', (code, signal) => resolve({ stdout, stderr, code: code ?? (signal === 'SIGKILL' ? 137 : 143) }));
  });
}

export function lastLines(text: string, count: number): string {
  return text.trimEnd().split('\n').slice(-count).join('\n');
}

/** As {@link run}, but a failure is an error that shows the end of what the program said. */
export async function mustRun(file: string, args: readonly string[], options: RunOptions = {}): Promise<string> {
  const { stdout, stderr, code } = await run(file, args, options);
  if (code !== 0)
    throw new Error(`${path.basename(file)} ${args.slice(0, 3).join(' ')} ended with ${code}:\n${lastLines(stderr || stdout, 15)}`);
  return stdout;
}

/** How much of a long step is done, from 0 to 1. */
export type Progress = (share: number) => void;

/** Announces a long step, then logs the elapsed seconds every 8 s, and how long it still takes where the work says how far it is. */
export async function withProgress<T>(log: Log, what: string, usually: string, work: (progress: Progress) => Promise<T>): Promise<T> {
  const started = Date.now();
  const seconds = () => Math.round((Date.now() - started) / 1000);
  let done = 0;
  log(`${what} (usually ${usually})`);
  const ticker = setInterval(() => log(`${what}: ${seconds()} s${remaining(seconds(), done)}`), 8000);
  try {
    return await work((share) => {
      done = share;
    });
  } finally {
    clearInterval(ticker);
  }
}

/** Empty where it is not known, and at the start, where it would be a guess. */
export function remaining(elapsedSeconds: number, share: number): string {
  if (share < 0.03 || share > 1) return '';
  const left = Math.round((elapsedSeconds * (1 - share)) / share);
  return left < 60 ? ', less than a minute left' : `, about ${Math.round(left / 60)} min left`;
}

/** The program's path, or undefined. */
export function findOnPath(name: string, searchPath: string = process.env.PATH ?? ''): string | undefined {
  for (const folder of searchPath.split(path.delimiter).filter((part) => part !== '')) {
    const file = path.join(folder, name);
    try {
      accessSync(file, constants.X_OK);
      return file;
    } catch {
      // Not in this folder.
    }
  }
  return undefined;
}
