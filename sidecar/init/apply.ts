// Loads the packet rules with iptables and reads them back.
import { CommandError } from '../errors.ts';
import type { RuleOptions } from './rules.ts';
import { desiredTables, differences, isLoaded, packetsOf, rejectImds, restoreInput, undoInput, untrackedTable } from './rules.ts';

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end with this input; rejects only when it cannot be started. */
export type Run = (command: readonly string[], input?: string) => Promise<Finished>;

export type Backend = 'nft' | 'legacy';

export interface ApplyOptions extends RuleOptions {
  run: Run;
  backend: Backend;
  /** Legacy tables of this network namespace, one a line. */
  legacyTables: string;
}

/**
 * Any number of runs gives the same rules. A load that fails leaves nothing behind. Throws {@link CommandError}. Resolves with whether the traffic of
 * the proxy is left untracked: a kernel may lack what that needs, and only few meshes need it.
 */
export async function applyRules({ run, backend, legacyTables, ...rules }: ApplyOptions): Promise<{ untracked: boolean }> {
  const tables = desiredTables(rules);
  const before = await save(run, backend);
  // The order of legacy and nft rules in one network namespace is not defined (docs/reference/iptables.md). Tables that came after an earlier run of
  // this container, such as those of a dockerd in the pod, do not keep a pod from starting again: the verification decides.
  if (backend === 'nft' && /^(nat|filter)$/m.test(legacyTables) && !isLoaded(tables, before)) {
    throw new CommandError(
      'legacy_tables_in_use',
      'iptables-legacy tables are in use in this network namespace, nft rules beside them have no defined order: set the chart value iptables=legacy',
    );
  }
  const input = restoreInput(tables, before);
  const restore = [`iptables-${backend}-restore`, '--noflush', ...(backend === 'legacy' ? ['--wait', '10'] : [])];
  const loaded = await run(restore, input);
  if (loaded.code !== 0) {
    const undo = undoInput(tables, before, await save(run, backend));
    if (undo !== '') await run([`iptables-${backend}-restore`, '--noflush'], undo);
    throw new CommandError('iptables_failed', `iptables-${backend}-restore failed: ${failureText(loaded, backend)}`);
  }
  const wrong = differences(tables, await save(run, backend));
  if (wrong.length > 0) {
    throw new CommandError(
      'rules_not_in_place',
      `iptables-${backend} accepted the rules, but reading them back shows a difference: ${wrong.join(', ')}`,
    );
  }
  const untracked = untrackedTable(rules);
  if (rules.denyImds && !isLoaded([untracked], before)) return { untracked: false };
  const { code } = await run(restore, restoreInput([untracked], before));
  return { untracked: code === 0 };
}

/** Packets to IMDS that the guard has rejected since the rules were loaded. */
export async function countRejected(run: Run, backend: Backend): Promise<number> {
  return packetsOf(await save(run, backend, ['--counters', '--table', 'filter']), rejectImds);
}

async function save(run: Run, backend: Backend, flags: readonly string[] = []): Promise<string> {
  const saved = await run([`iptables-${backend}-save`, ...flags]);
  if (saved.code !== 0) throw new CommandError('iptables_failed', `iptables-${backend}-save failed: ${failureText(saved, backend)}`);
  return saved.stdout;
}

/** The output of the tool in one line, and what usually helps. */
function failureText(finished: Finished, backend: Backend): string {
  const output = finished.stderr.trim().replaceAll(/\s*\n\s*/g, '; ') || `exit code ${finished.code}`;
  if (/permission denied|must be root|operation not permitted/i.test(output)) {
    return `${output} (the container needs capability NET_ADMIN${backend === 'legacy' ? ' and NET_RAW' : ''} and user id 0)`;
  }
  if (/lock/i.test(output)) return `${output} (the legacy backend needs a writable lock file; XTABLES_LOCKFILE names it)`;
  return output;
}
