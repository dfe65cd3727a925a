// What a process has used, from /proc.
import { readdirSync, readFileSync } from 'node:fs';

/** Of a process of this machine whose command line has this text. */
export function findPid(text: string): number {
  const found = readdirSync('/proc').find((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'utf8').includes(text);
    } catch {
      // It has ended since the list.
      return false;
    }
  });
  if (found === undefined) throw new Error(`no process has ${text} in its command line`);
  return Number(found);
}

/** `VmHWM` is the most that `VmRSS` has been. */
export function memoryMiB(pid: number, what: 'VmRSS' | 'VmHWM'): number {
  return Number(new RegExp(`^${what}:\\s+(\\d+)`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024;
}

/** Linux counts in hundredths of a second. */
const tickMs = 10;

/** Processor time, of all threads. */
export function cpuMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in front of it may have spaces; user time and system time are the fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * tickMs;
}

/** Connections of this machine to the port, also those that were closed within the last minute, by their other ports. */
export function connectionsTo(port: number): Set<string> {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  const lines = ['tcp', 'tcp6'].flatMap((table) => readFileSync(`/proc/net/${table}`, 'utf8').split('\n').slice(1));
  const found = new Set<string>();
  for (const line of lines) {
    const [, local = '', remote = ''] = line.trim().split(/\s+/);
    if (remote.endsWith(suffix)) found.add(local);
    else if (local.endsWith(suffix) && !/:0000$/.test(remote)) found.add(remote);
  }
  return found;
}
