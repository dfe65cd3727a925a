// Command lines of kubectl: its verbs, their flags, the resources that they name; and those of the plugin, by the plugin's own table.
import { splitWords } from '../../cli/command-line.ts';
import { commands } from '../../cli/run.ts';
import { parseOptions } from '../../common/options.ts';
import type { Flags } from './flags.ts';
import { readLine, switches, valued } from './flags.ts';
import { ourResources } from './schemas.ts';

const common = { ...valued('-n', '--namespace', '--context', '--kubeconfig', '-v'), ...switches('-A', '--all-namespaces') };
const selected = { ...valued('-l', '--selector', '--field-selector'), ...switches('--all') };
const interactive = switches('-it', '-i', '-t');
const written = { ...valued('-f', '-o', '--output', '--dry-run', '--field-manager'), ...switches('-R') };

interface Verb {
  flags: Flags;
  /** Whether the first argument names a resource, as `pods`, `deployment/web` or `certificates,issuers`; or a pod, as `logs` and `exec` also take. */
  names: 'resource' | 'podOrResource' | 'nothing';
}

const verbs: Readonly<Record<string, Verb>> = {
  annotate: { flags: { ...selected, ...switches('--overwrite') }, names: 'resource' },
  apply: { flags: { ...written, ...valued('-k'), ...switches('--server-side', '--force-conflicts') }, names: 'nothing' },
  'api-resources': { flags: valued('--api-group'), names: 'nothing' },
  'auth can-i': { flags: valued('--as', '--subresource'), names: 'nothing' },
  'cluster-info': { flags: {}, names: 'nothing' },
  create: { flags: { ...written, ...valued('--image') }, names: 'nothing' },
  'create namespace': { flags: written, names: 'nothing' },
  'create rolebinding': { flags: valued('--clusterrole', '--role', '--user', '--group', '--serviceaccount'), names: 'nothing' },
  'create clusterrolebinding': { flags: valued('--clusterrole', '--user', '--group', '--serviceaccount'), names: 'nothing' },
  'create secret': { flags: { ...written, ...valued('--type', '--from-file', '--from-literal') }, names: 'nothing' },
  'create token': {
    flags: valued('--audience', '--duration', '--bound-object-kind', '--bound-object-name', '--bound-object-uid'),
    names: 'nothing',
  },
  debug: {
    flags: {
      ...valued('--image', '--target', '--copy-to', '--profile', '--custom', '-c', '--container', '--attach'),
      ...interactive,
    },
    names: 'podOrResource',
  },
  delete: { flags: { ...selected, ...valued('-f', '--timeout', '--wait'), ...switches('--ignore-not-found', '--now') }, names: 'resource' },
  describe: { flags: selected, names: 'resource' },
  diff: { flags: { ...valued('-f', '--field-manager'), ...switches('--server-side', '--force-conflicts') }, names: 'nothing' },
  edit: { flags: {}, names: 'resource' },
  exec: { flags: { ...valued('-c', '--container'), ...interactive }, names: 'podOrResource' },
  explain: { flags: switches('--recursive'), names: 'resource' },
  get: {
    flags: {
      ...selected,
      ...valued('-o', '--output', '-f', '--raw', '--sort-by', '--subresource', '-L'),
      ...switches('--show-managed-fields', '-w', '--watch', '--no-headers', '--show-labels', '--ignore-not-found'),
    },
    names: 'resource',
  },
  label: { flags: { ...selected, ...switches('--overwrite') }, names: 'resource' },
  logs: {
    flags: {
      ...selected,
      ...valued('-c', '--container', '--tail', '--since'),
      ...switches('--previous', '-p', '-f', '--follow', '--prefix'),
    },
    names: 'podOrResource',
  },
  patch: { flags: valued('-p', '--patch', '--type', '--subresource'), names: 'resource' },
  'port-forward': { flags: valued('--address'), names: 'podOrResource' },
  'rollout restart': { flags: selected, names: 'resource' },
  'rollout status': { flags: { ...selected, ...valued('--timeout') }, names: 'resource' },
  run: {
    flags: { ...written, ...interactive, ...valued('--image', '--labels', '-l', '--restart', '--overrides'), ...switches('--rm') },
    names: 'nothing',
  },
  scale: { flags: valued('--replicas', '--timeout'), names: 'resource' },
  top: { flags: { ...selected, ...switches('--containers') }, names: 'resource' },
  version: { flags: {}, names: 'nothing' },
  wait: { flags: { ...selected, ...valued('--for', '--timeout') }, names: 'resource' },
};

/** Of Kubernetes, and of those that pages speak of: as kubectl accepts them, mostly in the plural and in the singular. */
const resources = new Set([
  ...ourResources,
  ...'certificates issuers applications kustomizations helmreleases'.split(' '),
  ...'events pods pod namespaces namespace nodes node configmaps configmap secrets secret leases lease'.split(' '),
  ...'validatingadmissionpolicybindings endpointslices'.split(' '),
  ...'services service endpoints'.split(' '),
  ...'deployments deployment replicasets replicaset daemonsets daemonset statefulsets statefulset jobs job cronjobs cronjob'.split(' '),
  ...'mutatingwebhookconfigurations mutatingwebhookconfiguration validatingadmissionpolicies serviceaccounts serviceaccount'.split(' '),
  ...'limitranges limitrange resourcequotas resourcequota networkpolicies networkpolicy clusterroles clusterrole crds crd'.split(' '),
]);

/** What is wrong with `kubectl` and these words. */
export function problemsOfKubectl(words: readonly string[]): readonly string[] {
  if (words[0] === 'aad-pod-identity') return problemsOfPlugin(words.slice(1));
  const name = [words.slice(0, 2).join(' '), words[0] ?? ''].find((candidate) => candidate in verbs) ?? '';
  const verb = verbs[name];
  if (verb === undefined) return [`kubectl ${words[0]}: unknown command`];
  const line = readLine(words.slice(name.split(' ').length), { ...common, ...verb.flags });
  return [...line.problems, ...problemsOfNames(verb, line.positionals, line.values)].map((problem) => `kubectl ${name}: ${problem}`);
}

function problemsOfNames({ names }: Verb, [first]: readonly string[], values: ReadonlyMap<string, unknown>): string[] {
  if (names === 'nothing' || values.has('--raw') || values.has('-f')) return [];
  if (first === undefined) return values.has('-l') || values.has('--selector') ? [] : ['names nothing'];
  if (names === 'podOrResource' && !first.includes('/')) return [];
  return first
    .split(',')
    .map((one) => one.replace(/\/.*/, '').replace(/\..*/, ''))
    .filter((one) => !resources.has(one))
    .map((one) => `unknown resource ${one}`);
}

function problemsOfPlugin(args: readonly string[]): string[] {
  if (args[0] === 'version') return [];
  const command = commands.find(({ words }) => words.every((word, index) => args[index] === word));
  if (command === undefined) return [`kubectl aad-pod-identity ${args[0] ?? ''}: unknown command`];
  const expected = command.usage.split(' ').length - command.words.length;
  try {
    const { words, flags } = splitWords(args.slice(command.words.length), command.options);
    parseOptions(command.options, flags);
    return words.length === expected ? [] : [`kubectl aad-pod-identity ${args.join(' ')}: ${expected} names are expected`];
  } catch (error) {
    return [`kubectl aad-pod-identity: ${error instanceof Error ? error.message : String(error)}`];
  }
}
