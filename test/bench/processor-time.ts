// Processor time, user and system, in seconds.
import { readFileSync } from 'node:fs';
import os from 'node:os';

const ticksPerSecond = 100;

/** Of a process with all its threads. */
export function secondsOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond;
}

/** Of everything that runs on this machine. */
export const secondsOfMachine = (): number =>
  os.cpus().reduce((sum, { times: { user, nice, sys, irq } }) => sum + user + nice + sys + irq, 0) / 1000;
