// Settings that had another name before. The former flag and variable still count, with a warning.
import { flagOf, SettingsError, variableOf } from '../lib/settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface Arguments {
  argv: readonly string[];
  env: Environment;
  /** One line for each former name that is used. */
  notes: readonly string[];
}

/** By the former name. */
const renamed = { identityLinger: 'identityDetachDelay' } as const;

/** Throws {@link SettingsError} where a setting has two values under its two names. */
export function translateFormerNames({ argv, env, notes }: Arguments): Arguments {
  let translated: Arguments = { argv, env, notes };
  for (const [former, name] of Object.entries(renamed)) translated = rename(translated, former, name);
  return translated;
}

function rename({ argv, env, notes }: Arguments, former: string, name: string): Arguments {
  const variable = { former: variableOf(former), now: variableOf(name) };
  const flag = { former: flagOf(former), now: flagOf(name) };
  const formerText = textOf(argv, flag.former);
  const value = env[variable.former] || undefined;
  refuseTwo([flag.former, formerText], [flag.now, textOf(argv, flag.now)]);
  refuseTwo([variable.former, value], [variable.now, env[variable.now] || undefined]);
  const added = [
    ...(formerText === undefined ? [] : [`${flag.former} is ${flag.now} now`]),
    ...(value === undefined ? [] : [`${variable.former} is ${variable.now} now`]),
  ];
  return {
    argv: argv.map((argument) =>
      argument === flag.former || argument.startsWith(`${flag.former}=`) ? argument.replace(flag.former, flag.now) : argument,
    ),
    env: value === undefined ? env : { ...env, [variable.now]: value },
    notes: [...notes, ...added.map((note) => `${note}: the former name will go in a later version`)],
  };
}

/** What the last such flag says. */
function textOf(argv: readonly string[], flag: string): string | undefined {
  const index = argv.findLastIndex((argument) => argument === flag || argument.startsWith(`${flag}=`));
  const found = argv[index];
  if (found === undefined) return undefined;
  return found === flag ? argv[index + 1] : found.slice(flag.length + 1);
}

function refuseTwo([former, formerText]: [string, string | undefined], [name, text]: [string, string | undefined]): void {
  if (formerText !== undefined && text !== undefined && formerText !== text)
    throw new SettingsError(`${former} is '${formerText}' and ${name} is '${text}': they are one setting, so give ${name} alone`);
}
