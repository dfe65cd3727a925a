// The chart as it is published: with what only the release knows in Chart.yaml.
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { parseDocument, stringify } from 'yaml';
import { findHelm } from '../../test/cluster/binaries.ts';
import type { Log } from '../../test/cluster/cache.ts';
import { mustRun } from '../../test/cluster/run.ts';
import { chartFolder } from '../chart-readme.ts';
import { writeArchive } from './archive.ts';
import type { Change } from './changelog.ts';

export interface ChartRelease {
  /** Page of the source repository. */
  source: string | undefined;
  /** References of the images, by their names; empty where nobody knows yet. */
  images: Readonly<Record<string, string>>;
  changes: readonly Change[];
  platforms: readonly string[];
}

/** Chart.yaml with home, sources, images and changes; the rest stays as it is. */
export function publishedChartYaml(chartYaml: string, { source, images, changes, platforms }: ChartRelease): string {
  const document = parseDocument(chartYaml);
  if (source !== undefined) {
    document.set('home', source);
    document.set('sources', [source]);
  }
  const listed = Object.entries(images).map(([name, image]) => ({ name, image, platforms }));
  if (listed.length > 0) document.setIn(['annotations', 'artifacthub.io/images'], stringify(listed));
  document.setIn(['annotations', 'artifacthub.io/changes'], stringify(changes, { lineWidth: 0 }));
  return document.toString({ lineWidth: 0 });
}

/** Packaged by helm, which checks it and leaves out what .helmignore names; then archived anew, since helm writes the time of the day. */
export async function packageChart(file: string, release: ChartRelease, time: number, log: Log): Promise<void> {
  const helm = await findHelm(log);
  const draft = mkdtempSync(path.join(tmpdir(), 'chart-'));
  try {
    const staged = path.join(draft, path.basename(chartFolder));
    cpSync(chartFolder, staged, { recursive: true });
    const chartYaml = path.join(staged, 'Chart.yaml');
    writeFileSync(chartYaml, publishedChartYaml(readFileSync(chartYaml, 'utf8'), release));
    const unpacked = path.join(draft, 'unpacked');
    mkdirSync(unpacked);
    await mustRun(helm, ['package', staged, '--destination', draft]);
    const [made = ''] = readdirSync(draft).filter((name) => name.endsWith('.tgz'));
    await mustRun('tar', ['--extract', '--file', path.join(draft, made), '--directory', unpacked]);
    await writeArchive(file, { folder: unpacked, names: readdirSync(unpacked), time });
  } finally {
    rmSync(draft, { recursive: true });
  }
}
