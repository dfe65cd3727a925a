import { readdirSync, readFileSync } from 'node:fs';

/** Private memory in bytes of the program with this word on its command line in the pod with this uid; undefined where it runs on another machine. */
export function privateMemoryOf(podUid: string, word: string): number | undefined {
  const uids = [podUid, podUid.replaceAll('-', '_')];
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const cgroup = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
      if (!uids.some((uid) => cgroup.includes(uid))) continue;
      if (!readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word)) continue;
      const kibibytes = /^Private_Dirty:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
      return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
    } catch {
      // It ended meanwhile.
    }
  }
  return undefined;
}
