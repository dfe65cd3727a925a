// One call of the plugin: reads the command line, runs a command, and returns the exit code.
import { version } from '../api/version.ts';
import { describeOptions, SettingsError } from '../common/options.ts';
import { commonOptions, splitWords } from './command-line.ts';
import { check } from './commands/check.ts';
import { checkPodCommand } from './commands/check-pod.ts';
import type { Command } from './commands/command.ts';
import { list } from './commands/list.ts';
import { migrate } from './commands/migrate.ts';
import type { ExitCode, Terminal } from './terminal.ts';

/** Longer names first: `check pod` before `check`. */
export const commands: readonly (Command & { words: readonly string[] })[] = [
  { words: ['check', 'pod'], ...checkPodCommand },
  { words: ['check'], ...check },
  { words: ['list'], ...list },
  { words: ['migrate'], ...migrate },
];

const plugin = 'kubectl aad-pod-identity';

export async function run(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    return await dispatch(args, terminal);
  } catch (error) {
    terminal.writeError(`${plugin}: ${error instanceof Error ? error.message : String(error)}\n`);
    return error instanceof SettingsError ? 2 : 1;
  }
}

async function dispatch(args: readonly string[], terminal: Terminal): Promise<ExitCode> {
  const command = commands.find(({ options, words }) => {
    const given = splitWords(args, options).words;
    return words.every((word, index) => given[index] === word);
  });
  const { words, flags } = splitWords(args, command?.options ?? commonOptions);
  if (flags.includes('--help') || words[0] === 'help' || args.length === 0) {
    terminal.write(help(command));
    return 0;
  }
  if (words[0] === 'version' || flags.includes('--version')) {
    terminal.write(`${version}\n`);
    return 0;
  }
  if (command === undefined) {
    const names = commands.map((known) => known.words.join(' ')).sort();
    throw new SettingsError(`unknown command ${words[0] ?? flags[0] ?? ''}: accepted are ${names.join(', ')}, version and --help`);
  }
  return command.run(words.slice(command.words.length), flags, terminal);
}

function help(command: Command | undefined): string {
  if (command !== undefined) {
    const rights = command.rights.map((right) => `  ${right}\n`).join('');
    return `usage: ${plugin} ${command.usage} [flags]\n${command.summary}\n\n${describeOptions(command.options)}\nRights that it needs at least; it names each that is missing (docs/troubleshooting.md#rights has roles with them):\n${rights}`;
  }
  const list = commands.map(({ usage, summary }) => `  ${usage.padEnd(16)} ${summary}\n`).join('');
  return (
    `usage: ${plugin} COMMAND [flags]\n\n${list}  ${'version'.padEnd(16)} prints the version\n\n` +
    'COMMAND --help explains its flags. Exit code 0: nothing is broken; 1: something is; 2: the command line is wrong.\n'
  );
}
