// A limit of memory for one program, as its container has it. It takes root and cgroups that can be written.
import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

export interface MemoryCgroup {
  /** Runs the command behind it within the limit. */
  through: readonly string[];
  /** After its programs have ended. */
  remove(): void;
}

/** Undefined where this machine does not allow it: the program then takes its limits from all of the machine's memory. */
export function createMemoryCgroup(bytes: number): MemoryCgroup | undefined {
  const own = readFileSync('/proc/self/cgroup', 'utf8');
  const v1 = /^\d+:memory:(.*)$/m.exec(own)?.[1];
  const parent = v1 === undefined ? `/sys/fs/cgroup${/^0::(.*)$/m.exec(own)?.[1] ?? ''}` : `/sys/fs/cgroup/memory${v1}`;
  const folder = path.join(parent, `bench-${process.pid}`);
  const remove = () => rmdirSync(folder);
  try {
    mkdirSync(folder);
  } catch {
    return undefined;
  }
  try {
    writeFileSync(path.join(folder, v1 === undefined ? 'memory.max' : 'memory.limit_in_bytes'), String(bytes));
  } catch {
    remove();
    return undefined;
  }
  return { through: ['sh', '-c', `echo $$ > ${folder}/cgroup.procs && exec "$@"`, 'sh'], remove };
}
