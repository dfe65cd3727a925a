import { readFileSync } from 'node:fs';
import { processesInPod } from '../cluster/procfs.ts';

/**
 * Private memory in bytes of the program with this word on its command line in the pod with this uid; undefined where it runs on another machine.
 */
export function privateMemoryOf(podUid: string, word: string): number | undefined {
  const [pid] = processesInPod(podUid, word);
  if (pid === undefined) return undefined;
  const kibibytes = /^Private_Dirty:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1];
  return kibibytes === undefined ? undefined : Number(kibibytes) * 1024;
}
