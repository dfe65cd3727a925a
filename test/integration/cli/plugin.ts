// The kubectl plugin in this process, against the cluster of a kubeconfig.
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

interface Report {
  firstBroken: string | null;
  sections: { title: string; findings: { status: string; code?: string; title: string; message?: string }[] }[];
}

/** The parsed output of `-o json`. Throws where it is none. */
export async function reportOf(kubeconfig: string, ...args: readonly string[]): Promise<Report> {
  const { stdout, stderr } = await runPlugin(kubeconfig, [...args, '-o', 'json']);
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout) as Report;
}
