// A lock file for one builder at a time, across processes. The lock of a process that died does not hold up others.
import { linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProcessIdentity } from './procfs.ts';
import { identify, isAlive } from './procfs.ts';

export function parseIdentity(text: string): ProcessIdentity | undefined {
  const [pid, start] = text.trim().split(' ');
  return pid !== undefined && /^\d+$/.test(pid) ? { pid: Number(pid), start: start ?? '' } : undefined;
}

function holderOf(file: string): ProcessIdentity | undefined {
  try {
    return parseIdentity(readFileSync(file, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The lock is a hard link to a complete file, so it never exists without its holder's name in it. */
function take(file: string): boolean {
  const own = `${file}.${process.pid}.${crypto.randomUUID()}`;
  const { pid, start } = identify(process.pid);
  writeFileSync(own, `${pid} ${start}\n`);
  try {
    linkSync(own, file);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(own);
  }
}

/**
 * Removes a dead holder's lock; returns whether the holder is dead. It works under a second lock, so that two processes cannot remove each other's new
 * lock.
 */
export function breakDeadLock(file: string): boolean {
  const isDead = (lock: string) => {
    const holder = holderOf(lock);
    return holder !== undefined && !isAlive(holder);
  };
  if (!isDead(file)) return false;
  const breaker = `${file}.breaking`;
  if (take(breaker)) {
    if (isDead(file)) rmSync(file, { force: true });
    rmSync(breaker, { force: true });
  } else if (isDead(breaker)) rmSync(breaker, { force: true });
  return true;
}

/** Runs `work` while it holds `file`; calls `waiting` once a second with the holder. */
export async function withLock<T>(
  file: string,
  work: () => Promise<T>,
  waiting: (holder: ProcessIdentity, seconds: number) => void,
): Promise<T> {
  mkdirSync(path.dirname(file), { recursive: true });
  for (let tries = 0; !take(file); tries++) {
    const holder = holderOf(file);
    if (breakDeadLock(file)) continue;
    if (holder !== undefined && tries % 10 === 0) waiting(holder, tries / 10);
    await sleep(100);
  }
  try {
    return await work();
  } finally {
    rmSync(file, { force: true });
  }
}
