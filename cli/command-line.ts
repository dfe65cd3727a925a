// What kubectl's users type: command words, their arguments, long flags, and the short ones of kubectl.
import type { Options } from '../common/options.ts';
import { boolean, choice, flagOf, list, optional, SettingsError, text } from '../common/options.ts';

const shortFlags: Readonly<Record<string, string>> = {
  '-n': '--namespace',
  '-o': '--output',
  '-A': '--all-namespaces',
  '-f': '--filename',
  '-h': '--help',
};

/** Flags of every command. */
export const commonOptions = {
  kubeconfig: optional(text({ description: 'kubeconfig file; default as for kubectl', form: 'a file' })),
  context: optional(text({ description: 'context of the kubeconfig; default its current one', form: 'a name' })),
  namespace: optional(text({ description: 'namespace; default that of the context (-n)', form: 'a name' })),
  releaseNamespace: optional(text({ description: 'where the chart is installed; default: it is looked for', form: 'a name' })),
  color: choice(['auto', 'always', 'never'], { description: 'colours and ticks; auto: on a terminal', default: 'auto' }),
} as const;

export const checkOptions = {
  ...commonOptions,
  output: choice(['text', 'json'], { description: 'form of the output; json has the stable codes (-o)', default: 'text' }),
} as const;

export const checkPodOptions = {
  ...checkOptions,
  tryToken: boolean({ description: 'ask the token proxy of the pod for a token, and print its claims', default: false }),
  resource: text({ description: 'for which resource', form: 'a resource', default: 'https://management.azure.com/' }),
} as const;

export const listOptions = {
  ...checkOptions,
  allNamespaces: boolean({ description: 'pods of all namespaces (-A)', default: false }),
  who: optional(
    text({
      description: 'show who can get this identity',
      form: 'an AzureIdentity as name or namespace/name, its client id or its resource id',
    }),
  ),
} as const;

export const migrateOptions = {
  ...commonOptions,
  releaseNamespace: optional(text({ description: 'where the chart will be installed; default aad-pod-identity', form: 'a name' })),
  output: choice(['text', 'json', 'yaml', 'values'], {
    description: 'json has the stable codes, yaml the objects that change, values the values of the chart alone (-o)',
    default: 'text',
  }),
  filename: list({
    description: 'read manifests of files, of folders or of standard input (-) in place of the cluster; may be repeated (-f)',
    form: 'files, folders or -',
    accepts: () => true,
    default: [],
  }),
  federate: boolean({ description: 'show what federates each AzureIdentity; with -o yaml, annotate them', default: false }),
  manageCredentials: boolean({
    description:
      'the controller makes the federated credentials (federation.manageCredentials of the chart); false shows the commands of az',
    default: true,
  }),
  issuer: optional(text({ description: "issuer of the cluster's service account tokens; default: it is asked", form: 'a URL' })),
} as const;

/** Joins the values of a flag that is given more than once, as kubectl does, into one list. */
export function joinRepeated(flags: readonly string[], flag: string): string[] {
  const values: string[] = [];
  const rest: string[] = [];
  for (let index = 0; index < flags.length; index += 1) {
    const word = flags[index] ?? '';
    if (word.startsWith(`${flag}=`)) values.push(word.slice(flag.length + 1));
    else if (word === flag && flags[index + 1] !== undefined) {
      index += 1;
      values.push(flags[index] ?? '');
    } else rest.push(word);
  }
  return values.length === 0 ? rest : [...rest, `${flag}=${values.join(',')}`];
}

export interface Split {
  /** In order: the command, then its arguments. */
  words: string[];
  /** Long flags, each with its value. */
  flags: string[];
}

/**
 * Tells words from flags: the value of a flag may stand in the next argument. `-n name`, `-nname` and `-n=name` are all kubectl's. Throws
 * {@link SettingsError} for an unknown short flag.
 */
export function splitWords(args: readonly string[], options: Options): Split {
  const split: Split = { words: [], flags: [] };
  const takesValue = (flag: string): boolean => {
    const [, option] = Object.entries(options).find(([name]) => flagOf(name) === flag) ?? [];
    return option !== undefined && option.implied === undefined;
  };
  for (let index = 0; index < args.length; index += 1) {
    const arg = args[index] ?? '';
    if (!arg.startsWith('-') || arg === '-') {
      split.words.push(arg);
      continue;
    }
    const flag = longOf(arg);
    split.flags.push(flag);
    const next = args[index + 1];
    if (flag.includes('=') || next === undefined || !takesValue(flag)) continue;
    split.flags.push(next);
    index += 1;
  }
  return split;
}

function longOf(arg: string): string {
  if (arg.startsWith('--')) return arg;
  const long = shortFlags[arg.slice(0, 2)];
  if (long === undefined)
    throw new SettingsError(`unknown argument ${arg}: accepted are ${Object.keys(shortFlags).join(', ')} and long flags`);
  const value = arg.slice(2).replace(/^=/, '');
  return value === '' ? long : `${long}=${value}`;
}
