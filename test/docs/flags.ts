// Flags of a command line, by a table of those that a command has. Pure.

/** By flag, in every spelling: whether it stands alone or with a value, in the same word or in the next one. */
export type Flags = Readonly<Record<string, 'switch' | 'value'>>;

export interface Line {
  positionals: readonly string[];
  /** Values by flag as it is written, in their order. */
  values: ReadonlyMap<string, readonly string[]>;
  problems: readonly string[];
}

export function readLine(words: readonly string[], flags: Flags): Line {
  const positionals: string[] = [];
  const values = new Map<string, string[]>();
  const problems: string[] = [];
  const left = [...words];
  // What follows `--` is of the program that the command runs.
  for (let word = left.shift(); word !== undefined && word !== '--'; word = left.shift()) {
    if (!word.startsWith('-') || word === '-') {
      positionals.push(word);
      continue;
    }
    const [flag = '', attached] = word.split(/=(.*)/s, 2);
    const kind = flags[flag];
    const value = kind === 'value' ? (attached ?? left.shift()) : attached;
    if (kind === undefined) problems.push(`unknown flag ${flag}`);
    else if (kind === 'value' && value === undefined) problems.push(`${flag} needs a value`);
    values.set(flag, [...(values.get(flag) ?? []), value ?? '']);
  }
  return { positionals, values, problems };
}

export const switches = (...flags: string[]): Flags => Object.fromEntries(flags.map((flag) => [flag, 'switch']));
export const valued = (...flags: string[]): Flags => Object.fromEntries(flags.map((flag) => [flag, 'value']));
