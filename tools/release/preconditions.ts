// What must hold before a release is made.
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { parse } from 'yaml';
import { version } from '../../api/version.ts';
import { stringAt } from '../../common/records.ts';
import { mustRun, run } from '../../test/cluster/run.ts';
import { chartFolder } from '../chart-readme.ts';

export interface Revision {
  commit: string;
  /** Of the commit, in seconds since 1970: the time of everything in the artefacts. */
  time: number;
}

export interface SourceState extends Revision {
  /** By the file that says it. */
  versions: Record<string, string | undefined>;
  /** Paths with changes that are not committed. */
  changed: string[];
  /** The commit of the tag v<version>, where there is one. */
  tagged: string | undefined;
  changelog: string;
}

/** One line for each thing that is wrong. */
export function problemsOf(version: string, state: SourceState): string[] {
  const others = Object.entries(state.versions).filter(([, other]) => other !== version);
  const problems = others.map(([place, other]) => `--version is ${version} and ${place} has ${other ?? 'none'}: change one of them`);
  if (state.changed.length > 0)
    problems.push(
      `the working tree has changes: commit or remove ${state.changed.slice(0, 5).join(', ')}${state.changed.length > 5 ? ', ...' : ''}`,
    );
  if (state.tagged !== undefined && state.tagged !== state.commit)
    problems.push(`the tag v${version} is on ${state.tagged.slice(0, 12)} and this is ${state.commit.slice(0, 12)}: check out the tag`);
  if (!state.changelog.includes(`\n## [${version}]`)) problems.push(`CHANGELOG.md has no heading ## [${version}]`);
  return problems;
}

export async function readSource(root: string, wanted: string): Promise<SourceState> {
  const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
  const git = (...args: string[]) => mustRun('git', ['-C', root, ...args]);
  const chart: unknown = parse(readFileSync(path.join(chartFolder, 'Chart.yaml'), 'utf8'));
  const tag = await run('git', ['-C', root, 'rev-parse', '--verify', '--quiet', `refs/tags/v${wanted}^{commit}`]);
  const status = await git('status', '--porcelain', '--untracked-files=normal');
  return {
    commit: (await git('rev-parse', 'HEAD')).trim(),
    time: Number(await git('show', '--no-patch', '--format=%ct', 'HEAD')),
    versions: {
      'api/version.ts': version,
      'package.json': stringAt(JSON.parse(read('package.json')), 'version'),
      'version of Chart.yaml': stringAt(chart, 'version'),
      'appVersion of Chart.yaml': stringAt(chart, 'appVersion'),
    },
    changed: status
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.slice(3)),
    tagged: tag.code === 0 ? tag.stdout.trim() : undefined,
    changelog: read('CHANGELOG.md'),
  };
}
