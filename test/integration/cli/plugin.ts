// The kubectl plugin in this process, against the cluster of a kubeconfig.
import assert from 'node:assert/strict';
import { run } from '../../../cli/run.ts';
import type { ExitCode } from '../../../cli/terminal.ts';

export interface PluginResult {
  code: ExitCode;
  stdout: string;
  stderr: string;
}

/** Not a terminal, so the output is plain. */
export async function runPlugin(kubeconfig: string, args: readonly string[]): Promise<PluginResult> {
  const output = { stdout: '', stderr: '' };
  const code = await run([...args, `--kubeconfig=${kubeconfig}`], {
    write: (text) => {
      output.stdout += text;
    },
    writeError: (text) => {
      output.stderr += text;
    },
    isTerminal: false,
    isErrorTerminal: false,
    columns: 80,
    env: {},
  });
  return { code, ...output };
}

export interface Report {
  firstBroken: string | null;
  sections: {
    title: string;
    findings: { status: string; code?: string; title: string; message?: string; advice?: string; command?: string }[];
  }[];
}

/** The parsed output of `-o json`. Throws where it is none. */
export async function reportOf(kubeconfig: string, ...args: readonly string[]): Promise<Report> {
  const { stdout, stderr } = await runPlugin(kubeconfig, [...args, '-o', 'json']);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}

/** What a user reads about the first broken link, which has to say what to do and what to type. */
export function brokenOf({ sections }: Report): { message: string; command: string } {
  const found = sections.flatMap(({ findings }) => findings).find(({ status }) => status === 'broken');
  assert.ok(found?.message && found.advice && found.command, JSON.stringify(found));
  return { message: found.message, command: found.command };
}
