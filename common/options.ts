// The command line grammar of every program: typed options, read from `--flag value` and `--flag=value`, and one line for a wrong one.

/** A setting that cannot be used. The message is one line for the person who set it: what was given and what is accepted. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
  readonly code = 'invalid_settings';
}

export interface Option<T> {
  readonly description: string;
  /** What a value looks like, for --help and for errors. */
  readonly form: string;
  /** The value of an option that is not given. An option without a fallback is required. */
  readonly fallback?: T;
  /** The text that the flag stands for when it has no value, as in `--verbose`. Without it a flag needs a value. */
  readonly implied?: string;
  /** Undefined refuses the text. */
  parse(text: string): T | undefined;
}

/** Options by their names in camel case: `logLevel` is the flag `--log-level`. */
export type Options = Record<string, Option<unknown>>;
export type Values<T extends Options> = { [K in keyof T]: T[K] extends Option<infer V> ? V : never };

interface Described<T> {
  description: string;
  /** An option without a default is required. */
  default?: T;
}

export const text = (
  options: Described<string> & { form?: string; pattern?: RegExp; accepts?: (text: string) => boolean },
): Option<string> => ({
  ...described(options),
  form: options.form ?? 'text',
  parse: (value) => ((options.pattern?.test(value) ?? true) && (options.accepts?.(value) ?? true) ? value : undefined),
});

export const choice = <const T extends string>(values: readonly T[], options: Described<NoInfer<T>>): Option<T> => ({
  ...described(options),
  form: values.join(' | '),
  parse: (value) => values.find((candidate) => candidate === value),
});

export const boolean = (options: Described<boolean>): Option<boolean> => ({
  ...described(options),
  form: 'true | false',
  implied: 'true',
  parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
});

/** A number without a sign; `unit` only says what it counts. */
export const number = (options: Described<number> & { unit?: string; min?: number; max?: number; integer?: boolean }): Option<number> => {
  const min = options.min ?? 0;
  const max = options.max ?? Number.MAX_SAFE_INTEGER;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return {
    ...described(options),
    form: `a ${options.integer === false ? '' : 'whole '}number ${options.unit === undefined ? '' : `of ${options.unit} `}${range}`,
    parse(value) {
      if (!/^\d+(\.\d+)?$/.test(value)) return undefined;
      const parsed = Number(value);
      if (options.integer !== false && !Number.isSafeInteger(parsed)) return undefined;
      return parsed >= min && parsed <= max ? parsed : undefined;
    },
  };
};

/** Comma separated; empty text is the empty list. `form` and `accepts` are about the items. */
export const list = (
  options: Described<readonly string[]> & { form: string; accepts(item: string): boolean },
): Option<readonly string[]> => ({
  ...described(options),
  form: `comma separated ${options.form}`,
  parse(value) {
    const items = value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
    return items.every(options.accepts) ? items : undefined;
  },
});

/** The same option, which may be absent. */
export const optional = <T>(option: Option<T>): Option<T | undefined> => ({ ...option, fallback: undefined });

function described<T>({ description, default: fallback }: Described<T>): Pick<Option<T>, 'description' | 'fallback'> {
  return fallback === undefined ? { description } : { description, fallback };
}

export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

/** A text from outside, and how errors call the place it came from. */
export interface Given {
  spelling: string;
  text: string;
}

/**
 * Reads the command line, then what `elsewhere` has for an option that is not on it, then the option's fallback. The last of several
 * equal flags wins. Throws {@link SettingsError} for an unknown flag, a missing value or one that the option does not accept.
 */
export function parseOptions<const T extends Options>(
  options: T,
  args: readonly string[],
  elsewhere: (name: string) => Given | undefined = () => undefined,
): Values<T> {
  const texts = readFlags(options, args);
  const values: Record<string, unknown> = {};
  for (const [name, option] of Object.entries(options)) {
    const flag = flagOf(name);
    const text = texts.get(name);
    values[name] = readOption(option, flag, text === undefined ? elsewhere(name) : { spelling: flag, text });
  }
  return values as Values<T>;
}

/**
 * The text of each flag that is given, by the option's name. Not by parseArgs of node:util, which costs a sidecar memory and time
 * (docs/reference/bun.md).
 */
function readFlags(options: Options, args: readonly string[]): Map<string, string> {
  const names = new Map(Object.keys(options).map((name) => [flagOf(name), name]));
  const texts = new Map<string, string>();
  for (let index = 0; index < args.length; index += 1) {
    const [flag = '', inline] = splitOnce(args[index] ?? '', '=');
    const name = names.get(flag);
    const option = name === undefined ? undefined : options[name];
    if (name === undefined || option === undefined)
      throw new SettingsError(`unknown argument ${oneLine(flag)}: see --help for the accepted flags`);
    const next = args[index + 1];
    if (inline !== undefined) {
      texts.set(name, inline);
    } else if (option.implied !== undefined && (next === undefined || option.parse(next) === undefined)) {
      texts.set(name, option.implied);
    } else {
      if (next === undefined) throw new SettingsError(`${flag} has no value: accepted is ${option.form}`);
      texts.set(name, next);
      index += 1;
    }
  }
  return texts;
}

function splitOnce(text: string, separator: string): string[] {
  const index = text.indexOf(separator);
  return index < 0 ? [text] : [text.slice(0, index), text.slice(index + separator.length)];
}

function readOption<T>(option: Option<T>, flag: string, given: Given | undefined): T | undefined {
  if (given === undefined) {
    if ('fallback' in option) return option.fallback;
    throw new SettingsError(`${flag} is missing: accepted is ${option.form}`);
  }
  const value = option.parse(given.text);
  if (value === undefined) throw new SettingsError(`${given.spelling} is '${oneLine(given.text)}': accepted is ${option.form}`);
  return value;
}

/** A value may be long, such as a PEM file, and may hold control characters; an error is one short line. */
function oneLine(text: string): string {
  const short = text.length > 100 ? `${text.slice(0, 100)}...` : text;
  return short.replaceAll(/\p{Cc}/gu, ' ');
}

/** The part of --help that explains each option, under its flag or another spelling of its name. */
export function describeOptions(options: Options, spell: (name: string) => string = flagOf): string {
  return Object.entries(options)
    .map(([name, option]) => `  ${spell(name)}\n      ${option.description}\n      ${option.form}; ${describeFallback(option)}\n`)
    .join('');
}

function describeFallback(option: Option<unknown>): string {
  if (!('fallback' in option)) return 'required';
  if (option.fallback === undefined) return 'optional';
  const shown = Array.isArray(option.fallback) ? option.fallback.join(',') : String(option.fallback);
  return `default ${shown === '' ? 'empty' : shown}`;
}
