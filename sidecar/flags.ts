// Command line of the three commands: typed values or one clear line. Flags are the sidecar's only settings, because service links
// and variables that others inject into a pod would collide with names of ours (design 4).

/** What was wrong and what is accepted, in one line. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface Flag<T> {
  name: string;
  help: string;
  /** What a value looks like, for --help and errors. A flag whose form is {@link yesOrNo} may stand without a value. */
  form: string;
  /** Given when the flag is absent; without it the flag is required. */
  fallback?: { value: T };
  /** Undefined refuses the text. */
  parse(text: string): T | undefined;
}

const yesOrNo = 'true or false';

type Common = { name: string; help: string };

/** Required, unless wrapped by {@link optional} or {@link withDefault}. */
export const text = (options: Common & { form: string; accepts?: (text: string) => boolean }): Flag<string> => ({
  name: options.name,
  help: options.help,
  form: options.form,
  parse: (value) => (value !== '' && (options.accepts?.(value) ?? true) ? value : undefined),
});

export const optional = <T>(flag: Flag<T>): Flag<T | undefined> => ({ ...flag, fallback: { value: undefined } });

export const withDefault = <T>(flag: Flag<T>, value: T): Flag<T> => ({ ...flag, fallback: { value } });

export const choice = <const T extends string>(options: Common & { values: readonly T[]; fallback: NoInfer<T> }): Flag<T> => ({
  name: options.name,
  help: options.help,
  form: options.values.join(' or '),
  fallback: { value: options.fallback },
  parse: (value) => options.values.find((candidate) => candidate === value),
});

export const boolean = (options: Common): Flag<boolean> => ({
  ...options,
  form: yesOrNo,
  fallback: { value: false },
  parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
});

export const seconds = (options: Common & { fallback: number; min: number; max: number }): Flag<number> => ({
  name: options.name,
  help: options.help,
  form: `a whole number of seconds from ${options.min} to ${options.max}`,
  fallback: { value: options.fallback },
  parse: (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : Number.NaN;
    return number >= options.min && number <= options.max ? number : undefined;
  },
});

/** Takes `--flag=value`, `--flag value` and, for booleans, a bare `--flag`. Throws {@link UsageError}. */
export function readArguments(flags: readonly Flag<unknown>[], args: readonly string[]): Map<string, string> {
  const texts = new Map<string, string>();
  let waiting: Flag<unknown> | undefined;
  for (const argument of args) {
    if (waiting !== undefined) {
      texts.set(waiting.name, argument);
      waiting = undefined;
      continue;
    }
    const [, name = '', , value] = /^--([^=]+)(=([\s\S]*))?$/.exec(argument) ?? [];
    const flag = flags.find((candidate) => candidate.name === name);
    if (flag === undefined) {
      throw new UsageError(
        `${quote(argument)} is not a flag of this command; it takes ${flags.map((known) => `--${known.name}`).join(', ')}`,
      );
    }
    if (texts.has(name)) throw new UsageError(`--${name} is given twice`);
    if (value !== undefined) texts.set(name, value);
    else if (flag.form === yesOrNo) texts.set(name, 'true');
    else waiting = flag;
  }
  if (waiting !== undefined) throw new UsageError(`--${waiting.name} needs a value: ${waiting.form}`);
  return texts;
}

export function readFlag<T>(texts: ReadonlyMap<string, string>, flag: Flag<T>): T {
  const given = texts.get(flag.name);
  if (given === undefined) {
    if (flag.fallback === undefined) throw new UsageError(`--${flag.name} is required: ${flag.form}`);
    return flag.fallback.value;
  }
  const value = flag.parse(given);
  if (value === undefined) throw new UsageError(`--${flag.name} does not accept ${quote(given)}: it takes ${flag.form}`);
  return value;
}

/** One line a flag, for --help. */
export function describeFlags(flags: readonly Flag<unknown>[]): string {
  const width = Math.max(...flags.map((flag) => flag.name.length));
  return flags
    .map((flag) => {
      const fallback =
        flag.fallback === undefined ? ' (required)' : flag.fallback.value === undefined ? '' : ` (default ${flag.fallback.value})`;
      return `  --${flag.name.padEnd(width)}  ${flag.help}: ${flag.form}${fallback}`;
    })
    .join('\n');
}

/** Values may be long (a PEM) or hold control characters; an error stays one line. */
function quote(value: string): string {
  return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value);
}
