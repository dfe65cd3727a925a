// Identity of a process beyond its number, which is reused. Linux only; elsewhere the start time is unknown and only the number counts.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** A process: its number, and its start time in clock ticks since boot, so that a reused number is not taken for it. */
export interface ProcessIdentity {
  pid: number;
  start: string;
}

/** Field 22 of /proc/PID/stat; the command in field 2 may hold spaces and parentheses, so fields count from the last `)`. */
export function startTimeOf(stat: string): { state: string; start: string } | undefined {
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const state = fields[0];
  const start = fields[19];
  return state === undefined || start === undefined ? undefined : { state, start };
}

function readStat(pid: number): { state: string; start: string } | undefined {
  try {
    return startTimeOf(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

export function identify(pid: number): ProcessIdentity {
  return { pid, start: readStat(pid)?.start ?? '' };
}

export function isAlive(process_: ProcessIdentity): boolean {
  try {
    process.kill(process_.pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  if (process_.start === '') return true;
  const stat = readStat(process_.pid);
  return stat !== undefined && stat.start === process_.start && stat.state !== 'Z';
}

/** `net:[4026532008]`, or undefined once the process is gone. */
export function networkNamespaceOf(pid: number | 'self'): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/** Numbers of the processes in a network namespace. */
export function processesInNamespace(namespace: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => networkNamespaceOf(pid) === namespace);
}

/** Processes of this machine in the pod with this uid that have this word on their command line. */
export function processesInPod(podUid: string, word: string): number[] {
  const uids = [podUid, podUid.replaceAll('-', '_')];
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const group = readFileSync(`/proc/${pid}/cgroup`, 'utf8');
        return uids.some((uid) => group.includes(uid)) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0').includes(word);
      } catch {
        return false;
      }
    })
    .map(Number);
}
