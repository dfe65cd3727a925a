// Manifests of aad-pod-identity's MIC start our controller too (docs/reference/aad-pod-identity.md lists its flags and variables). A flag that has a
// meaning here becomes ours. One that has none is accepted with a note that says why, and what to use instead.
import { SettingsError } from '../settings.ts';

type Environment = Readonly<Record<string, string | undefined>>;

export interface TranslatedArguments {
  argv: string[];
  env: Environment;
  /** One line for each flag or variable that has no effect. */
  notes: string[];
}

interface Flag {
  /** A boolean flag of Go does not take the next argument as its value. */
  boolean?: true;
  /** Our arguments with the same meaning. */
  ours(value: string): string[];
  /** Why the flag has no effect; undefined where it has one. */
  note?(value: string): string | undefined;
}

const as = (flag: string): Flag => ({ ours: (value) => [`${flag}=${value}`] });
const switchAs = (flag: string): Flag => ({ boolean: true, ours: (value) => [`${flag}=${goBoolean(value)}`] });
const portAs = (flag: string): Flag => ({ ours: (value) => [`${flag}=:${value}`] });
const secondsAs = (flag: string): Flag => ({ ours: (value) => [`${flag}=${goSeconds(value) ?? value}`] });
const ignored = (why: string): Flag => ({ ours: () => [], note: () => why });
const ignoredSwitch = (why: string): Flag => ({ ...ignored(why), boolean: true });

const noUpgrade = 'objects are read in the old spelling of their fields too, so nothing is upgraded';
const noRetry = 'a refused identity is quarantined and tried again with back-off';
const ownLog = 'the log goes to standard output; use --log-level and --log-format';

const flags: Readonly<Record<string, Flag>> = {
  kubeconfig: as('--kubeconfig'),
  cloudconfig: as('--cloud-config'),
  forceNamespaced: switchAs('--force-namespaced'),
  version: { boolean: true, ours: (value) => (goBoolean(value) === 'true' ? ['--version'] : []) },
  syncRetryDuration: ignored(
    'failures are retried with back-off; use --identity-assignment-reconcile-interval for how often scopes are compared with Azure',
  ),
  'leader-election-instance': as('--instance'),
  'leader-election-namespace': ignored('the Lease is in the release namespace; use --namespace'),
  'leader-election-name': ignored('the Lease has a fixed name in the release namespace'),
  // A MIC renews its lock for half of the duration and retries after a quarter.
  'leader-election-duration': {
    ours(value) {
      const seconds = goSeconds(value);
      if (seconds === undefined) return [`--lease-duration=${value}`];
      return [`--lease-duration=${seconds}`, `--lease-renew=${seconds / 2}`, `--lease-retry=${seconds / 4}`];
    },
  },
  'http-probe-port': portAs('--probes-listen'),
  'prometheus-port': portAs('--metrics-listen'),
  enableProfile: ignoredSwitch('use NODE_OPTIONS=--inspect=127.0.0.1:6060'),
  enableScaleFeatures: ignoredSwitch('it had no effect in aad-pod-identity either'),
  createDeleteBatch: as('--create-delete-batch'),
  clientQps: as('--client-qps'),
  'immutable-user-msis': as('--immutable-user-msis'),
  'config-map-name': ignored(noUpgrade),
  'type-upgrade-status-key': ignored(noUpgrade),
  'enable-type-upgrade': ignoredSwitch(noUpgrade),
  'update-user-msi-max-retry': ignored(noRetry),
  'update-user-msi-retry-interval': ignored(noRetry),
  'identity-assignment-reconcile-interval': secondsAs('--identity-assignment-reconcile-interval'),
  'custom-user-agent': as('--custom-user-agent'),
  'log-format': as('--log-format'),
  // A MIC logs its single steps from level 5 on.
  v: {
    ours(value) {
      if (!/^-?\d+$/.test(value)) throw new SettingsError(`-v is '${value.slice(0, 100)}': accepted is a whole number`);
      return [`--log-level=${Number(value) >= 5 ? 'debug' : 'info'}`];
    },
  },
  logtostderr: ignoredSwitch(ownLog),
  alsologtostderr: ignoredSwitch(ownLog),
  log_dir: ignored(ownLog),
  log_file: ignored(ownLog),
  log_file_max_size: ignored(ownLog),
  stderrthreshold: ignored(ownLog),
  vmodule: ignored(ownLog),
  skip_headers: ignoredSwitch(ownLog),
  skip_log_headers: ignoredSwitch(ownLog),
  one_output: ignoredSwitch(ownLog),
  add_dir_header: ignoredSwitch(ownLog),
  log_backtrace_at: ignored(ownLog),
};

const knownFromNodes = 'the providerID of a node names its scale set or virtual machine';
const needless = ['SUBSCRIPTION_ID', 'RESOURCE_GROUP', 'VM_TYPE'];

/** Other arguments and variables stay as they are. Throws {@link SettingsError} for a value that a MIC refuses too. */
export function translateMicArguments(argv: readonly string[], env: Environment): TranslatedArguments {
  const notes: string[] = [];
  const translated: string[] = [];
  for (let index = 0; index < argv.length; index += 1) {
    const argument = argv[index] ?? '';
    // Go accepts one dash or two.
    const [, dashes = '', name = '', given] = /^(--?)([A-Za-z][\w-]*)(?:=(.*))?$/s.exec(argument) ?? [];
    const flag = Object.hasOwn(flags, name) ? flags[name] : undefined;
    if (flag === undefined) {
      translated.push(argument);
      continue;
    }
    let value = given ?? (flag.boolean ? 'true' : undefined);
    if (value === undefined) {
      index += 1;
      value = argv[index];
      if (value === undefined) throw new SettingsError(`${dashes}${name} has no value`);
    }
    translated.push(...flag.ours(value));
    const note = flag.note?.(value);
    if (note !== undefined) notes.push(`${dashes}${name} of aad-pod-identity has no effect: ${note}`);
  }
  for (const variable of needless) if (env[variable]) notes.push(`${variable} of aad-pod-identity has no effect: ${knownFromNodes}`);
  return { argv: translated, env: { ...env, ...variablesOf(env) }, notes };
}

/** Our own variables win over MIC's. */
function variablesOf(env: Environment): Record<string, string> {
  const ours: Record<string, string> = {};
  // aad-pod-identity accepts exactly this text.
  if (env.FORCENAMESPACED === 'true' && !env.FORCE_NAMESPACED) ours.FORCE_NAMESPACED = 'true';
  if (env.MIC_POD_NAMESPACE && !env.NAMESPACE) ours.NAMESPACE = env.MIC_POD_NAMESPACE;
  if (env.USE_MSI) ours.USE_MSI = env.USE_MSI.toLowerCase();
  return ours;
}

/** Go's spellings of a boolean. Any other text stays, so that our own parser refuses it by the name of the setting. */
export function goBoolean(text: string): string {
  if (/^(1|t|T|true|TRUE|True)$/.test(text)) return 'true';
  return /^(0|f|F|false|FALSE|False)$/.test(text) ? 'false' : text;
}

const unitSeconds: Readonly<Record<string, number>> = { h: 3600, m: 60, s: 1, ms: 0.001 };

/** Seconds of a Go duration such as `1h30m` or `15s`; undefined for any other text. */
function goSeconds(text: string): number | undefined {
  if (!/^(\d+(\.\d+)?(h|ms|m|s))+$/.test(text)) return undefined;
  const parts = text.matchAll(/(\d+(?:\.\d+)?)(h|ms|m|s)/g);
  return [...parts].reduce((sum, [, amount, unit]) => sum + Number(amount) * (unitSeconds[unit ?? ''] ?? 0), 0);
}

/** Whether a MIC has the flag of this name, without dashes. */
export const isMicFlag = (name: string): boolean => Object.hasOwn(flags, name);
