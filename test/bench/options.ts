// What `npm run bench` is asked for.
import { parseArgs } from 'node:util';

/** Programs that another one can be measured beside. */
const kinds = ['webhook', 'proxy', 'controller'] as const;
export type Kind = (typeof kinds)[number];
const isKind = (text: string): text is Kind => kinds.some((kind) => kind === text);

export interface Options {
  names: string[];
  help: boolean;
  /** Command lines with `{placeholders}`. */
  against: Partial<Record<Kind, string>>;
  /** Of the reviews that the other webhook answers. */
  webhookPath: string;
}

/** Names what was wrong on the command line, and what is accepted. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** `usual`: the benches that run when none is named. */
export function parseOptions(args: readonly string[], benches: readonly string[], usual = benches): Options {
  const { values, positionals } = parse(args);
  const unknown = positionals.find((name) => !benches.includes(name));
  if (unknown !== undefined)
    throw new UsageError(`unknown bench ${unknown}: accepted is ${benches.join(', ')}, or nothing for the usual ones`);
  const against: Options['against'] = {};
  for (const given of values.against ?? []) {
    const [, kind = '', command = ''] = /^(\w+)=(.+)$/.exec(given) ?? [];
    if (!isKind(kind)) throw new UsageError(`--against ${given}: accepted is KIND=COMMAND, and a KIND is ${kinds.join(', ')}`);
    against[kind] = command;
  }
  return {
    names: positionals.length > 0 ? positionals : [...usual],
    help: values.help ?? false,
    against,
    webhookPath: values['webhook-path'],
  };
}

function parse(args: readonly string[]) {
  const options = {
    help: { type: 'boolean', short: 'h' },
    against: { type: 'string', multiple: true },
    'webhook-path': { type: 'string', default: '/mutate' },
  } as const;
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${error instanceof Error ? error.message : String(error)}. See npm run bench -- --help`);
  }
}

/** Words of a command line, split at blanks, with each `{name}` replaced. */
export function fillIn(command: string, values: Readonly<Record<string, string>>): string[] {
  const names = Object.keys(values).map((name) => `{${name}}`);
  const fill = (word: string) =>
    word.replace(/\{(\w+)\}/g, (placeholder, name: string) => {
      const value = values[name];
      if (value === undefined) throw new UsageError(`${placeholder} in --against: accepted is ${names.join(', ')}`);
      return value;
    });
  return command.split(/\s+/).filter(Boolean).map(fill);
}
