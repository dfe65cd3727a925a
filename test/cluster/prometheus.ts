// Prometheus and promtool: of the machine, or unpacked from Debian's package.
import path from 'node:path';
import type { Log } from './cache.ts';
import { debianPackages, missingForPackages } from './debian.ts';
import { findOnPath } from './run.ts';

export interface PrometheusPrograms {
  prometheus: string;
  promtool: string;
}

const onPath = (searchPath?: string): PrometheusPrograms | undefined => {
  const [prometheus, promtool] = ['prometheus', 'promtool'].map((name) => findOnPath(name, searchPath));
  return prometheus === undefined || promtool === undefined ? undefined : { prometheus, promtool };
};

/** What this machine needs to have them and does not have, one line each. */
export const missingForPrometheus = (): string[] =>
  onPath() === undefined && missingForPackages().length > 0 ? ['prometheus and promtool in PATH, or Debian or Ubuntu to fetch them'] : [];

export async function findPrometheus(log: Log): Promise<PrometheusPrograms> {
  const found = onPath() ?? onPath(path.join((await debianPackages('monitoring', log)).root, 'usr/bin'));
  if (found === undefined) throw new Error("Debian's package prometheus has no programs prometheus and promtool in usr/bin");
  return found;
}
