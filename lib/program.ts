// What every Node program does around its own work: --help, --version, settings, one clear line for a bad one, a signal, an orderly stop.
import { version } from '../api/version.ts';
import type { LogFormat } from '../common/log-format.ts';
import { withChartValues } from './chart-values.ts';
import type { Logger, LogLevel } from './log.ts';
import { createLogger } from './log.ts';
import type { Table, Values } from './settings.ts';
import { helpOf, parseSettings, SettingsError } from './settings.ts';
import type { Stopper } from './shutdown.ts';
import { createStopper, untilSignal } from './shutdown.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Program<T extends Table> {
  name: string;
  summary: string;
  settings: T;
  /** What else the program does, by the first argument. Each gets the arguments after it, and sets the exit code. */
  commands?: Readonly<Record<string, (argv: readonly string[]) => Promise<void>>>;
  /** Other spellings of arguments and variables into ours, before they are read; each note becomes a warning. May throw {@link SettingsError}. */
  translate?(argv: readonly string[], env: Environment): { argv: readonly string[]; env: Environment; notes: readonly string[] };
  /** Starts everything and registers how to stop it; returns once started. May throw {@link SettingsError}. */
  start(values: Values<T>, context: { log: Logger; stopper: Stopper }): Promise<void>;
}

/** Runs until a signal; sets the exit code. The settings must include `logLevel` and `logFormat`. */
export async function runProgram<const T extends Table & { logLevel: Table[string]; logFormat: Table[string] }>(
  program: Program<T>,
): Promise<void> {
  let stopper: Stopper | undefined;
  try {
    const given = process.argv.slice(2);
    const command = program.commands?.[given[0] ?? ''];
    if (command !== undefined) {
      await command(given.slice(1));
      return;
    }
    const { argv, env, notes } = program.translate?.(given, process.env) ?? { argv: given, env: process.env, notes: [] };
    if (argv.includes('--help')) {
      process.stdout.write(helpOf(program.name, program.summary, program.settings));
      return;
    }
    if (argv.includes('--version')) {
      process.stdout.write(`${program.name} ${version}\n`);
      return;
    }
    const values = parseSettings(program.settings, argv, env);
    const { logLevel: level, logFormat: format } = values as { logLevel: LogLevel; logFormat: LogFormat };
    const log = createLogger({ program: program.name, level, format });
    for (const note of notes) log.warn(note);
    stopper = createStopper(log);
    const signalled = untilSignal();
    await program.start(values, { log, stopper });
    log.info({ signal: await signalled }, 'stopping');
    await stopper.stop();
    log.info('stopped');
    process.exit(0);
  } catch (error) {
    // One line where kubectl logs and a terminal show it; the stack only helps where the user cannot mend it.
    const line =
      error instanceof SettingsError
        ? withChartValues(error.message, program.name, Object.keys(program.settings))
        : error instanceof Error
          ? (error.stack ?? error.message)
          : String(error);
    process.stderr.write(`${program.name}: ${line}\n`);
    await stopper?.stop();
    process.exit(error instanceof SettingsError ? 2 : 1);
  }
}
