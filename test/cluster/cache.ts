// A cache outside of the repository for what is slow to make: each folder is named by a hash of all its inputs.
import { createHash } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { withLock } from './lock.ts';

const product = 'aad-pod-identity-webhook';

export function cacheRoot(env: Record<string, string | undefined> = process.env): string {
  if (env.AAD_POD_IDENTITY_CACHE) return path.resolve(env.AAD_POD_IDENTITY_CACHE);
  return path.join(env.XDG_CACHE_HOME || path.join(env.HOME || os.homedir(), '.cache'), product);
}

/** The same inputs in the same order give the same key; length prefixes keep `ab`+`c` apart from `a`+`bc`. */
export function cacheKey(inputs: Iterable<string | Uint8Array>): string {
  const hash = createHash('sha256');
  for (const input of inputs) hash.update(`${input.length}:`).update(input);
  return hash.digest('hex').slice(0, 20);
}

export type Log = (line: string) => void;

/** The folder that {@link cached} made before; undefined without one. */
export function existing(kind: string, key: string): string | undefined {
  const folder = path.join(cacheRoot(), kind, key);
  return existsSync(folder) ? folder : undefined;
}

/**
 * The folder `<cache>/<kind>/<key>`; `make` fills it if it is not there yet. It appears complete or not at all, and two processes that need
 * it at once make it once.
 */
export async function cached(
  kind: string,
  key: string,
  log: Log,
  make: (folder: string) => Promise<void>,
  root = cacheRoot(),
): Promise<string> {
  const parent = path.join(root, kind);
  const folder = path.join(parent, key);
  if (existsSync(folder)) return used(folder);
  mkdirSync(parent, { recursive: true });
  const fill = async () => {
    if (existsSync(folder)) return;
    const draft = mkdtempSync(path.join(parent, `.${key}-`));
    try {
      await make(draft);
      // Other users of the machine may run what root has built.
      chmodSync(draft, 0o755);
      renameSync(draft, folder);
    } finally {
      rmSync(draft, { recursive: true, force: true });
    }
  };
  await withLock(path.join(parent, `${key}.lock`), fill, (holder, seconds) => {
    if (seconds % 8 === 0) log(`waiting for process ${holder.pid}, which is making the same ${kind}: ${seconds} s`);
  });
  return folder;
}

/** Keeps it from {@link prune}. */
function used(folder: string): string {
  try {
    utimesSync(folder, new Date(), new Date());
  } catch {
    // It belongs to another user, who prunes it.
  }
  return folder;
}

/** For what every change of the source makes anew: removes folders of the kind that nothing has used for an hour, but for the last three. */
export function prune(kind: string, root = cacheRoot()): void {
  const parent = path.join(root, kind);
  const longAgo = Date.now() - 3600 * 1000;
  // Another process may prune meanwhile.
  const usedAt = (name: string) => statSync(path.join(parent, name), { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const all = readdirSync(parent).filter((name) => !name.startsWith('.') && !name.endsWith('.lock'));
  for (const name of all.sort((a, b) => usedAt(b) - usedAt(a)).slice(3)) {
    if (usedAt(name) < longAgo) rmSync(path.join(parent, name), { recursive: true, force: true });
  }
}
