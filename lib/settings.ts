// Settings of the control plane: one name in three spellings. `armEndpoint` is --arm-endpoint, ARM_ENDPOINT and the chart value armEndpoint.
import type { Options, Values } from '../common/options.ts';
import { describeOptions, flagOf, parseOptions } from '../common/options.ts';

export type { Option as Setting, Options as Table, Values } from '../common/options.ts';
export { boolean, choice, flagOf, list, number, SettingsError, text } from '../common/options.ts';

export const variableOf = (name: string): string => flagOf(name).slice(2).replaceAll('-', '_').toUpperCase();

/**
 * Reads flags, then environment variables, then defaults. A variable that is set to nothing counts as absent, because a chart renders an
 * empty value so. Throws {@link SettingsError}.
 */
export function parseSettings<const T extends Options>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Values<T> {
  return parseOptions(table, argv, (name) => {
    const spelling = variableOf(name);
    const text = env[spelling];
    return text === undefined || text === '' ? undefined : { spelling, text };
  });
}

/** The --help text of a program. */
export function helpOf(program: string, summary: string, table: Options): string {
  const settings = describeOptions(table, (name) => `${flagOf(name)} (${variableOf(name)})`);
  return `${program}: ${summary}\n\nSettings, as flag (environment variable):\n\n${settings}\n  --help, --version\n`;
}
