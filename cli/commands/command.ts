import type { Options } from '../../common/options.ts';
import type { ExitCode, Terminal } from '../terminal.ts';

export interface Command {
  /** After the name of the plugin. */
  usage: string;
  summary: string;
  /** What a user needs at least, as RBAC spells it. */
  rights: readonly string[];
  options: Options;
  /** `words`: after the command's own. Throws {@link SettingsError}. */
  run(words: readonly string[], flags: readonly string[], terminal: Terminal): Promise<ExitCode>;
}
