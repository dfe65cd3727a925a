// Loads the rules with iptables and reads them back.
import { Failure } from '../failure.ts';
import { differences, restoreInput, undoInput, wantedTables } from './rules.ts';

export interface Finished {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program to its end with this input; rejects only when it cannot be started. */
export type Run = (command: readonly string[], input?: string) => Promise<Finished>;

export type Backend = 'nft' | 'legacy';

/** Chart value that switches the backend, named in error lines. */
const backendValue = 'iptables=legacy';

export async function applyRules(options: { run: Run; backend: Backend; blockWireServer: boolean; legacyTables: string }): Promise<void> {
  const { run, backend } = options;
  // Both backends at once in one network namespace have no defined order.
  if (backend === 'nft' && /^(nat|filter)$/m.test(options.legacyTables)) {
    throw new Failure(
      `iptables-legacy tables are in use in this network namespace, nft rules beside them have no defined order: set the chart value ${backendValue}`,
    );
  }
  const tables = wantedTables({ blockWireServer: options.blockWireServer });
  const before = await save(run, backend);
  const input = restoreInput(tables, before);
  const loaded = await run([`iptables-${backend}-restore`, '--noflush', ...(backend === 'legacy' ? ['--wait', '10'] : [])], input);
  if (loaded.code !== 0) {
    const undo = undoInput(tables, before, await save(run, backend));
    if (undo !== '') await run([`iptables-${backend}-restore`, '--noflush'], undo);
    throw new Failure(`iptables-${backend}-restore failed: ${explain(loaded, backend)}`);
  }
  const wrong = differences(tables, await save(run, backend));
  if (wrong.length > 0)
    throw new Failure(`iptables-${backend} accepted the rules, but reading them back shows a difference: ${wrong.join(', ')}`);
}

async function save(run: Run, backend: Backend): Promise<string> {
  const saved = await run([`iptables-${backend}-save`]);
  if (saved.code !== 0) throw new Failure(`iptables-${backend}-save failed: ${explain(saved, backend)}`);
  return saved.stdout;
}

/** The tool's own words in one line, with what usually helps. */
function explain(finished: Finished, backend: Backend): string {
  const said = finished.stderr.trim().replaceAll(/\s*\n\s*/g, '; ') || `exit code ${finished.code}`;
  if (/permission denied|must be root|operation not permitted/i.test(said)) {
    return `${said} (the container needs capability NET_ADMIN${backend === 'legacy' ? ' and NET_RAW' : ''} and user id 0)`;
  }
  if (/lock/i.test(said)) return `${said} (the legacy backend needs a writable lock file; XTABLES_LOCKFILE names it)`;
  return said;
}
