// MIC and NMI of aad-pod-identity as they are deployed, and what their flags and variables are here. Pure.
import { chartValueOf } from '../../lib/chart-values.ts';
import { at, isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';
import { SettingsError, variableOf } from '../../lib/settings.ts';
import { goBoolean, isMicFlag, translateMicArguments } from '../../lib/upstream/mic-flags.ts';
import { nmiFlags } from './nmi-flags.ts';
import { podTemplateOf } from './workloads.ts';

export interface UpstreamProgram {
  readonly component: 'mic' | 'nmi';
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  readonly replicas: number | undefined;
  readonly image: string;
  /** In their order; a flag without a value is `true`. */
  readonly flags: readonly GivenFlag[];
  /** Variables with a value in the manifest. */
  readonly env: Readonly<Record<string, string>>;
  /** The Secret that variables come from. */
  readonly secret: string | undefined;
  readonly release: Release | undefined;
  /** Part of the AKS add-on: docs/reference/aad-pod-identity.md#the-add-on-of-aks. */
  readonly isAksAddon: boolean;
  /** The pod template. */
  readonly template: unknown;
}

/** Of Helm. */
export interface Release {
  readonly name: string;
  readonly namespace: string;
}

export function programOf(object: unknown): UpstreamProgram | undefined {
  const kind = stringAt(object, 'kind') ?? '';
  const template = podTemplateOf(object);
  const { namespace, name } = metadataOf(object);
  const component = componentOf(template);
  if (!['Deployment', 'DaemonSet'].includes(kind) || component === undefined || namespace === undefined || name === undefined)
    return undefined;
  const containers = at(template, 'spec', 'containers');
  const container = Array.isArray(containers) ? containers.find(isRecord) : undefined;
  const variables = listAt(container, 'env').filter(isRecord);
  const replicas = at(object, 'spec', 'replicas');
  return {
    component,
    kind,
    namespace,
    name,
    replicas: typeof replicas === 'number' ? replicas : undefined,
    image: stringAt(container, 'image') ?? '',
    flags: splitFlags(argumentsOf(container)),
    env: Object.fromEntries(
      variables.flatMap((variable) => (typeof variable.value === 'string' ? [[String(variable.name), variable.value]] : [])),
    ),
    secret: variables.map((variable) => stringAt(variable, 'valueFrom', 'secretKeyRef', 'name')).find((secret) => secret !== undefined),
    release: releaseOf(object, namespace),
    isAksAddon: isOfAks(object) || isOfAks(template),
    template,
  };
}

/** Labels of the Helm chart, then those of the static manifests and of the AKS add-on. */
function componentOf(template: unknown): 'mic' | 'nmi' | undefined {
  const labels = metadataOf(template).labels ?? {};
  const component = labels['app.kubernetes.io/component'] ?? labels.component;
  return component === 'mic' || component === 'nmi' ? component : undefined;
}

export const isOfAks = (object: unknown): boolean => metadataOf(object).labels?.['kubernetes.azure.com/managedby'] === 'aks';

/** Helm annotates what it installs. `helm template` prints no annotation, so there the chart's label says it. */
export function releaseOf(object: unknown, objectNamespace: string): Release | undefined {
  const { annotations = {}, labels = {} } = metadataOf(object);
  const name = annotations['meta.helm.sh/release-name'];
  if (name !== undefined) return { name, namespace: annotations['meta.helm.sh/release-namespace'] ?? objectNamespace };
  const instance = labels['app.kubernetes.io/instance'];
  return labels['app.kubernetes.io/managed-by'] === 'Helm' && instance !== undefined
    ? { name: instance, namespace: objectNamespace }
    : undefined;
}

function argumentsOf(container: unknown): string[] {
  const all = [...listAt(container, 'command'), ...listAt(container, 'args')].filter((part) => typeof part === 'string');
  const first = all.findIndex((part) => part.startsWith('-'));
  return first < 0 ? [] : all.slice(first);
}

const listAt = (value: unknown, key: string): readonly unknown[] => {
  const found = at(value, key);
  return Array.isArray(found) ? found : [];
};

/** What the flags and variables of MIC and NMI are here. */
export interface FoundSettings {
  /** By path of the chart value. */
  readonly values: ReadonlyMap<string, unknown>;
  readonly forceNamespaced: boolean;
  readonly managed: boolean;
  /** A line for each flag without an effect. */
  readonly withoutEffect: readonly string[];
  /** Flags that this program does not know, or cannot read. */
  readonly notUnderstood: readonly string[];
}

export function settingsOf(programs: readonly UpstreamProgram[]): FoundSettings {
  const all = programs.map((program) => (program.component === 'mic' ? micSettings(program) : nmiSettings(program)));
  // MIC comes first: where both have a value, its own counts.
  const values = new Map(all.toReversed().flatMap(({ values: of }) => [...of]));
  return {
    values,
    forceNamespaced: values.get('forceNamespaced') === true,
    managed: values.get('operationMode') === 'managed',
    withoutEffect: all.flatMap(({ withoutEffect }) => withoutEffect),
    notUnderstood: all.flatMap(({ notUnderstood }) => notUnderstood),
  };
}

type ProgramSettings = { values: Map<string, unknown>; withoutEffect: string[]; notUnderstood: string[] };

/** Settings of ours that MIC has as variables, and whose value may stand in its manifest. None is secret. */
const micVariables = ['forceNamespaced', 'azureEnvironmentFilepath', 'cloud', 'tenantId', 'clientId', 'useMsi', 'userAssignedMsiClientId'];

function micSettings({ flags, env }: UpstreamProgram): ProgramSettings {
  const found: ProgramSettings = { values: new Map(), withoutEffect: [], notUnderstood: [] };
  const set = (setting: string, text: string) => {
    const value = chartValueOf('controller', setting);
    if (value !== undefined) found.values.set(value, typed(setting, text));
  };
  for (const flag of flags) {
    if (!isMicFlag(flag.name)) {
      found.notUnderstood.push(`--${flag.name} of MIC`);
      continue;
    }
    try {
      const { argv, notes } = translateMicArguments(flag.words, {});
      found.withoutEffect.push(...notes);
      for (const argument of argv) {
        const [, name, text = ''] = /^--([\w-]+)=(.*)$/s.exec(argument) ?? [];
        if (name !== undefined) set(camelCase(name), text);
      }
    } catch (error) {
      if (!(error instanceof SettingsError)) throw error;
      found.notUnderstood.push(`--${flag.name} of MIC (${error.message})`);
    }
  }
  const { env: translated } = translateMicArguments([], env);
  for (const setting of micVariables) {
    const text = translated[variableOf(setting)];
    if (text !== undefined && text !== '') set(setting, text);
  }
  return found;
}

function nmiSettings({ flags, env }: UpstreamProgram): ProgramSettings {
  const found: ProgramSettings = { values: new Map(), withoutEffect: [], notUnderstood: [] };
  for (const { name, value: given } of flags) {
    const flag = Object.hasOwn(nmiFlags, name) ? nmiFlags[name] : undefined;
    const value = flag?.boolean ? goBoolean(given) : given;
    if (flag === undefined) found.notUnderstood.push(`--${name} of NMI`);
    else if (flag.defaults.includes(value) || flag.defaults.length === 0) continue;
    else if (flag.ours !== undefined) found.values.set(flag.ours, typed(flag.ours, value.toLowerCase() === 'managed' ? 'managed' : value));
    else found.withoutEffect.push(`--${name} of NMI has no effect here: ${flag.why}`);
  }
  if (env.FORCENAMESPACED === 'true') found.values.set('forceNamespaced', true);
  return found;
}

/** What a flag is given, the last time; undefined where it is not. */
export const flagValue = ({ flags }: UpstreamProgram, name: string): string | undefined =>
  flags.findLast((flag) => flag.name === name)?.value;

/** With their defaults. */
const lockFlags = { 'leader-election-name': 'aad-pod-identity-mic', 'leader-election-namespace': 'default' } as const;

/** Flags with which MIC holds a lock that our controller does not see. */
export const lockFlagsOf = (mic: UpstreamProgram): string[] =>
  Object.entries(lockFlags).flatMap(([name, usual]) => ((flagValue(mic, name) ?? usual) === usual ? [] : [name]));

export interface GivenFlag {
  name: string;
  value: string;
  /** As given. */
  words: string[];
}

/** Go takes one dash or two, and the value behind `=` or in the next word. A word with a dash begins the next flag. */
function splitFlags(args: readonly string[]): GivenFlag[] {
  const flags: GivenFlag[] = [];
  for (const word of args) {
    const [, name, value] = /^--?([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(word) ?? [];
    const last = flags.at(-1);
    if (name !== undefined) flags.push({ name, value: value ?? 'true', words: [word] });
    else if (last?.words.length === 1 && !last.words[0]?.includes('=')) {
      last.value = word;
      last.words.push(word);
    }
  }
  return flags;
}

const lists: ReadonlySet<string> = new Set(['immutableUserMsis']);

function typed(setting: string, text: string): unknown {
  if (lists.has(setting))
    return text
      .split(',')
      .map((item) => item.trim())
      .filter((item) => item !== '');
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  // The chart takes whole numbers, and MIC fractions of seconds and of calls a second.
  return /^\d+(\.\d+)?$/.test(text) ? Math.max(Math.floor(Number(text)), Number(text) > 0 ? 1 : 0) : text;
}

const camelCase = (name: string): string => name.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
