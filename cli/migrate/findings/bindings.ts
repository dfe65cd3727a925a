import { annotations } from '../../../api/names.ts';
import type { Match } from '../../../lib/identities/match.ts';
import { bindingsOfPod, isForeign, isNearMiss, matchPod, maxForeignMatches } from '../../../lib/identities/match.ts';
import type { Finding } from '../../finding.ts';
import { broken, warning } from '../../finding.ts';
import type { MigrationInput } from '../input.ts';
import type { Workload } from '../workloads.ts';
import { describeWorkload } from '../workloads.ts';
import { names } from './names.ts';

export function bindingFindings(input: MigrationInput): Finding[] {
  const groups = groupsOf(input);
  return [
    ...missingIdentities(input),
    ...blanks(input),
    ...groups.flatMap((group) => [...missingBinding(group, input), ...sameNames(group), ...limit(group), ...defaultIdentity(group)]),
    ...crossNamespace(groups),
  ];
}

/** Labelled workloads of one namespace with one value of the label. The same bindings select their pods. */
interface Group {
  readonly workloads: readonly [Workload, ...Workload[]];
  readonly matches: readonly Match[];
  readonly overLimit: readonly Match[];
}

function groupsOf({ workloads, bindings, identities, rules }: MigrationInput): Group[] {
  const byKey = new Map(identities.map((identity) => [identity.key, identity]));
  const bySelector = Map.groupBy(
    workloads.filter(({ pod }) => pod.selector !== ''),
    ({ namespace, pod }) => `${namespace}/${pod.selector}`,
  );
  return [...bySelector.values()].flatMap(([first, ...rest]) =>
    first === undefined ? [] : [{ workloads: [first, ...rest] as const, ...matchPod(first.pod, bindings, (key) => byKey.get(key), rules) }],
  );
}

const title = 'binding';
const describe = ({ workloads: [first, ...rest] }: Group): string => names([first, ...rest].map(describeWorkload));

function missingIdentities({ bindings, identities }: MigrationInput): Finding[] {
  const known = new Set(identities.map(({ key }) => key));
  return bindings
    .filter(({ identityKey }) => !known.has(identityKey))
    .map(({ key, identityKey }) =>
      warning('IdentityMissing', {
        title,
        message: `AzureIdentityBinding ${key} names AzureIdentity ${identityKey}, which is not here`,
        advice: 'Make the AzureIdentity, or delete the binding. It gives nothing, as before.',
      }),
    );
}

/** MIC compares with the blanks. */
function blanks({ bindings }: MigrationInput): Finding[] {
  return bindings
    .filter(({ object: { spec } }) => [spec?.azureIdentity, spec?.selector].some((text) => text !== undefined && text !== text.trim()))
    .map(({ key, selector, identityKey }) =>
      warning('BlanksIgnored', {
        title,
        message: `AzureIdentityBinding ${key} has blanks around a name, which MIC compares: here it gives ${identityKey} to pods labelled ${selector}`,
        advice: 'Delete the binding where that is not meant.',
      }),
    );
}

function missingBinding(group: Group, { bindings, rules }: MigrationInput): Finding[] {
  const [{ pod, namespace }] = group.workloads;
  if (bindingsOfPod(pod, bindings, rules).length > 0) return [];
  const near = bindings.find((binding) => binding.namespace === namespace && isNearMiss(pod, binding));
  return [
    warning('BindingMissing', {
      title,
      message: `no AzureIdentityBinding has the selector ${pod.selector} of ${describe(group)}${near === undefined ? '' : `; ${near.key} has ${near.selector || 'none'}`}`,
      advice: 'Make the binding, or take the label from the pods. They get nothing, as before.',
    }),
  ];
}

function sameNames(group: Group): Finding[] {
  const byName = Map.groupBy(group.matches, ({ identity }) => identity.name);
  return [...byName.values()]
    .filter((matches) => matches.length > 1)
    .map((matches) =>
      warning('SameNameIdentities', {
        title,
        message: `${describe(group)} can get ${names(matches.map(({ identity }) => identity.key))}: MIC keeps one of a name, and here the pods have all`,
        advice: 'Delete the binding that is not meant.',
      }),
    );
}

function limit(group: Group): Finding[] {
  if (group.overLimit.length === 0) return [];
  return [
    broken('ForeignBindingLimit', {
      title,
      message: `${describe(group)} can get more than ${maxForeignMatches} identities of other namespaces, and gets none of ${names(group.overLimit.map(({ identity }) => identity.key))}`,
      advice: 'Make the bindings in the namespace of the pods, or use several labels.',
    }),
  ];
}

function defaultIdentity(group: Group): Finding[] {
  const open = group.workloads.filter(({ pod }) => pod.defaultIdentity === undefined);
  if (open.length === 0 || group.matches.length < 2) return [];
  return [
    warning('DefaultIdentity', {
      title,
      message: `${names(open.map(describeWorkload))} can get ${names(group.matches.map(({ identity }) => identity.key))}: a request that names none gets that of the first binding here, and any of them from NMI`,
      advice: `Name the client id in the request, or the identity in the annotation ${annotations.defaultIdentity} of the pods.`,
    }),
  ];
}

function crossNamespace(groups: readonly Group[]): Finding[] {
  const foreign = groups.flatMap(({ workloads: [{ pod }], matches }) => matches.filter((match) => isForeign(match, pod)));
  const givers = [...new Set(foreign.map(({ binding }) => binding.namespace))].sort();
  if (givers.length === 0) return [];
  return [
    warning('CrossNamespaceBindings', {
      title,
      message: `bindings of ${names(givers)} give identities to pods of other namespaces, as before: ${names([...new Set(foreign.map(({ binding }) => binding.key))])}`,
      advice: `Whoever may write bindings in any namespace can do so. The value bindingNamespaces: [${givers.join(', ')}] lets only these.`,
    }),
  ];
}
