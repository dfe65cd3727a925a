// `controller uninstall`: runs as a Job before `helm uninstall` (docs/uninstall.md). It ends with 0 whatever is left, since a failed hook would keep the release installed.
import { writeFileSync } from 'node:fs';
import { systemClock } from '../../common/clock.ts';
import { connect } from '../../lib/kube/client.ts';
import type { Values } from '../../lib/settings.ts';
import { helpOf, parseSettings, SettingsError } from '../../lib/settings.ts';
import { userAgentOf } from '../../lib/user-agent.ts';
import { reportOf, terminationMessageOf } from './report.ts';
import { uninstall } from './run.ts';
import { settings } from './settings.ts';

const say = (line: string) => process.stdout.write(`${line}\n`);

/** Sets the exit code: 2 for settings that cannot be used. Never rejects. */
export async function runUninstall(argv: readonly string[]): Promise<void> {
  process.once('SIGTERM', () => process.exit(143));
  try {
    if (argv.includes('--help'))
      process.stdout.write(helpOf('uninstall', 'removes what a release leaves in the cluster and in Azure', settings));
    else await run(parseSettings(settings, argv, process.env));
  } catch (error) {
    process.stderr.write(`uninstall: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = error instanceof SettingsError ? 2 : 1;
  }
}

async function run({ kubeconfig, timeout, terminationMessage, ...given }: Values<typeof settings>): Promise<void> {
  const client = connect({ kubeconfig: kubeconfig || undefined, userAgent: userAgentOf('uninstall', ''), qps: 250 });
  const left = await uninstall({ ...given, client, clock: systemClock, timeoutMs: timeout * 1000, say });
  await client.close();
  const report = reportOf(left, given.namespace);
  for (const line of report) say(line);
  try {
    writeFileSync(terminationMessage, terminationMessageOf(report));
  } catch {
    // Outside of a pod there is no such file; the log has the report.
  }
}
