// What is checked without running the code: types, lint and format, code that nothing uses.
import { spawn } from 'node:child_process';
import path from 'node:path';

const root = path.resolve(import.meta.dirname, '../..');
const bin = path.join(root, 'node_modules', '.bin');

export const checks = {
  typecheck: { about: 'types', commands: ['tsc -p .', 'tsc -p sidecar'] },
  lint: { about: 'lint rules, format, order of imports', commands: ['biome check --error-on-warnings .'] },
  knip: {
    about: 'files, exports and packages that nothing uses; circles of imports',
    commands: ['knip --no-progress', 'knip --no-progress --cycles'],
  },
} as const;

export type CheckName = keyof typeof checks;
export const checkNames = Object.keys(checks) as CheckName[];
export const isCheckName = (name: string): name is CheckName => Object.hasOwn(checks, name);

export interface CheckResult {
  passed: boolean;
  /** What its commands print. */
  output: string;
}

export async function runCheck(name: CheckName): Promise<CheckResult> {
  const results = await Promise.all(checks[name].commands.map(runCommand));
  return { passed: results.every(({ passed }) => passed), output: results.map(({ output }) => output).join('') };
}

/** Writes the format and the fixes that are safe; for a person, so it is no check. */
export const format = (): Promise<CheckResult> => runCommand('biome check --write --error-on-warnings .');

function runCommand(line: string): Promise<CheckResult> {
  const [program = '', ...args] = line.split(' ');
  return new Promise((resolve, reject) => {
    const child = spawn(path.join(bin, program), args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (text: string) => {
      output += text;
    };
    child.stdout.setEncoding('utf8').on('data', collect);
    child.stderr.setEncoding('utf8').on('data', collect);
    child.on('error', reject).on('close', (code) => resolve({ passed: code === 0, output }));
  });
}
