// Archives whose bytes depend on nothing but names, contents and one time.
import { rmSync } from 'node:fs';
import { mustRun } from '../../test/cluster/run.ts';

interface ArchiveOptions {
  /** The archive holds `names`, as seen from here. */
  folder: string;
  names: readonly string[];
  /** Seconds since 1970, of every file. */
  time: number;
}

/** With the extension .tgz it is compressed. */
export async function writeArchive(file: string, { folder, names, time }: ArchiveOptions): Promise<void> {
  const same = ['--sort=name', '--format=ustar', `--mtime=@${time}`, '--owner=0', '--group=0', '--numeric-owner', '--mode=u=rwX,go=rX'];
  const tar = file.replace(/\.tgz$/, '.tar');
  await mustRun('tar', ['--create', '--file', tar, ...same, '--directory', folder, ...names]);
  if (tar === file) return;
  rmSync(file, { force: true });
  // --no-name leaves out name and time of the tar.
  await mustRun('gzip', ['--no-name', '--best', '--suffix', '.gz', tar]);
  await mustRun('mv', [`${tar}.gz`, file]);
}
