// Unit tests share a process, because a process for each file takes ten times as long, and a process uses one processor. So there are as many processes
// as processors.
import type { ChildProcess } from 'node:child_process';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import type { Counts } from './run-files.ts';
import { sumOf } from './run-files.ts';

/** A process takes half a second to start, in which it could run this many files. */
const fewestFiles = 20;

export const shardsFor = (files: readonly string[]): number =>
  Math.max(1, Math.min(availableParallelism(), Math.floor(files.length / fewestFiles)));

/** Prints the output of the first process as it comes, and that of the others when they end. */
export async function runShards(files: readonly string[], count: number): Promise<Counts> {
  const shards = Array.from({ length: count }, (_, shard) => files.filter((_file, index) => index % count === shard));
  const env = process.stdout.isTTY ? { ...process.env, FORCE_COLOR: '1' } : process.env;
  let printed = Promise.resolve();
  const results = shards.map((shard) => {
    const child = fork(path.join(import.meta.dirname, 'shard.ts'), shard, { env, execArgv: [], silent: true });
    printed = print(child, printed);
    return result(child);
  });
  const counts = await Promise.all(results);
  await printed;
  return sumOf(counts);
}

async function print(child: ChildProcess, before: Promise<void>): Promise<void> {
  let held = '';
  let isHeld = true;
  const write = (text: string) => {
    if (isHeld) held += text;
    else process.stdout.write(text);
  };
  child.stdout?.setEncoding('utf8').on('data', write);
  child.stderr?.setEncoding('utf8').on('data', write);
  const closed = once(child, 'close');
  await before;
  process.stdout.write(held);
  isHeld = false;
  await closed;
}

/** A process that ends without a result counts as one failure. */
async function result(child: ChildProcess): Promise<Counts> {
  let counts: Counts = { passed: 0, failed: 1, skipped: 0 };
  child.on('message', (message) => {
    counts = message as Counts;
  });
  await once(child, 'close');
  return counts;
}
