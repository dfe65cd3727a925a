// buildah without a daemon: its storage is in the cache, its mounts are in a mount namespace of their own.
import { mkdirSync, realpathSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { cacheRoot } from './cache.ts';
import type { Unpacked } from './debian.ts';
import { hideCommands, quote } from './namespace.ts';
import { mustRun } from './run.ts';

/** Arguments of unshare for a program whose mounts and processes must not outlive it. */
const alone = ['--fork', '--pid', '--mount', '--mount-proc', '--kill-child=SIGKILL'];

export function runAlone(file: string, args: string[], env: Record<string, string>): Promise<string> {
  return mustRun('unshare', [...alone, file, ...args], { env });
}

/** Runs one buildah command on a storage folder; returns its output. */
export type Buildah = (...args: string[]) => Promise<string>;

/** buildah starts itself anew with an empty environment, so that the loader must find its libraries without LD_LIBRARY_PATH. */
function libraryCommands(storage: string, tools: Unpacked): string[] {
  const list = path.join(storage, 'libraries.conf');
  const index = path.join(storage, 'libraries.cache');
  writeFileSync(list, `${tools.env.LD_LIBRARY_PATH.replaceAll(':', '\n')}\ninclude /etc/ld.so.conf\n`);
  return [`ldconfig -X -C ${quote(index)} -f ${quote(list)}`, `mount --bind ${quote(index)} /etc/ld.so.cache`];
}

const withPolicy = new Set(['from', 'bud', 'push', 'commit', 'pull']);

export function buildahIn(storage: string, driver: 'overlay' | 'vfs', tools: Unpacked): Buildah {
  const etc = path.join(tools.root, 'etc/containers');
  const temporary = path.join(storage, 'tmp');
  mkdirSync(temporary, { recursive: true });
  const general = [
    ...['--storage-driver', driver, '--root', path.join(storage, 'root'), '--runroot', path.join(storage, 'run')],
    ...['--registries-conf', path.join(etc, 'registries.conf')],
  ];
  return (command = '', ...args) => {
    const policy = withPolicy.has(command) ? ['--signature-policy', path.join(etc, 'policy.json')] : [];
    const line = ['buildah', ...general, command, ...policy, ...args].map(quote).join(' ');
    const needed = [realpathSync(cacheRoot()), realpathSync(path.resolve(import.meta.dirname, '../..'))];
    const script = ['set -e', ...hideCommands(needed), ...libraryCommands(storage, tools), `exec ${line}`].join('\n');
    return runAlone('sh', ['-c', script], { ...tools.env, TMPDIR: temporary, BUILDAH_ISOLATION: 'chroot' });
  };
}
