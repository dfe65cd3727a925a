// Settings of the control plane: one name in three spellings. `armEndpoint` is --arm-endpoint, ARM_ENDPOINT and the chart value armEndpoint.

/** What was wrong and what is accepted, in one line for the person who set it. */
export class SettingsError extends Error {
  override readonly name = 'SettingsError';
}

export interface Setting<T> {
  readonly description: string;
  /** How a value looks, for --help and for errors. */
  readonly form: string;
  readonly fallback: T;
  /** Undefined refuses the text. */
  parse(text: string): T | undefined;
}

interface Described<T> {
  description: string;
  default: T;
}

export const text = (options: Described<string> & { form?: string; pattern?: RegExp }): Setting<string> => ({
  description: options.description,
  form: options.form ?? 'text',
  fallback: options.default,
  parse: (value) => (options.pattern === undefined || options.pattern.test(value) ? value : undefined),
});

export const choice = <const T extends string>(values: readonly T[], options: Described<NoInfer<T>>): Setting<T> => ({
  description: options.description,
  form: values.join(' | '),
  fallback: options.default,
  parse: (value) => values.find((candidate) => candidate === value),
});

export const boolean = (options: Described<boolean>): Setting<boolean> => ({
  description: options.description,
  form: 'true | false',
  fallback: options.default,
  parse: (value) => (value === 'true' ? true : value === 'false' ? false : undefined),
});

/** A number without a sign; `unit` only tells what it counts. */
export const number = (options: Described<number> & { unit?: string; min?: number; max?: number; integer?: boolean }): Setting<number> => {
  const min = options.min ?? 0;
  const max = options.max ?? Number.MAX_SAFE_INTEGER;
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return {
    description: options.description,
    form: `a ${options.integer === false ? '' : 'whole '}number ${options.unit === undefined ? '' : `of ${options.unit} `}${range}`,
    fallback: options.default,
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
): Setting<readonly string[]> => ({
  description: options.description,
  form: `comma separated ${options.form}`,
  fallback: options.default,
  parse(value) {
    const items = value
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
    return items.every(options.accepts) ? items : undefined;
  },
});

export type Table = Record<string, Setting<unknown>>;
export type Values<T extends Table> = { [K in keyof T]: T[K] extends Setting<infer V> ? V : never };

export const flagOf = (name: string): string => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
export const variableOf = (name: string): string => flagOf(name).slice(2).replaceAll('-', '_').toUpperCase();

/**
 * Reads `--flag value`, `--flag=value` (a boolean also as `--flag` alone), then the environment, then the default.
 * Throws {@link SettingsError} for an unknown flag, a missing value or one that is not of the setting's form.
 */
export function parseSettings<const T extends Table>(
  table: T,
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Values<T> {
  const byFlag = new Map(Object.keys(table).map((name) => [flagOf(name), name]));
  const values: Record<string, unknown> = {};

  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    const equals = argument.indexOf('=');
    const flag = equals < 0 ? argument : argument.slice(0, equals);
    const name = byFlag.get(flag);
    const setting = name === undefined ? undefined : table[name];
    if (name === undefined || setting === undefined) throw new SettingsError(`unknown argument ${flag}: see --help for the accepted flags`);
    let value: string;
    if (equals >= 0) value = argument.slice(equals + 1);
    else if (typeof setting.fallback === 'boolean' && !['true', 'false'].includes(argv[index + 1] ?? '')) value = 'true';
    else {
      index += 1;
      const following = argv[index];
      if (following === undefined) throw new SettingsError(`${flag} has no value: accepted is ${setting.form}`);
      value = following;
    }
    values[name] = read(setting, flag, value);
  }

  for (const [name, setting] of Object.entries(table)) {
    if (name in values) continue;
    const variable = env[variableOf(name)];
    values[name] = variable === undefined || variable === '' ? setting.fallback : read(setting, variableOf(name), variable);
  }
  return values as Values<T>;
}

function read<T>(setting: Setting<T>, spelling: string, value: string): T {
  const parsed = setting.parse(value);
  if (parsed === undefined) throw new SettingsError(`${spelling} is '${value.slice(0, 100)}': accepted is ${setting.form}`);
  return parsed;
}

/** The --help text of a program. */
export function helpOf(program: string, summary: string, table: Table): string {
  const rows = Object.entries(table).map(([name, setting]) => {
    const fallback = Array.isArray(setting.fallback) ? setting.fallback.join(',') : String(setting.fallback);
    return `  ${flagOf(name)} (${variableOf(name)})\n      ${setting.description}\n      ${setting.form}; default ${fallback === '' ? 'empty' : fallback}\n`;
  });
  return `${program}: ${summary}\n\nSettings, as flag (environment variable):\n\n${rows.join('')}\n  --help, --version\n`;
}
