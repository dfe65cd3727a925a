import { bindingLabel } from '../../api/names.ts';
import { parseOptions, SettingsError } from '../../common/options.ts';
import { assignmentOf } from '../../lib/identities/assignment.ts';
import { bindingOf } from '../../lib/identities/binding.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import { podOf } from '../../lib/identities/pod.ts';
import type { Resource } from '../../lib/kube/resources.ts';
import { azureAssignedIdentities, azureIdentities, azureIdentityBindings, nodes, pods } from '../../lib/kube/resources.ts';
import type { Access } from '../access.ts';
import { withAccess } from '../access.ts';
import { readMatchRules } from '../cluster/installation.ts';
import { listOptions } from '../command-line.ts';
import { listIdentities } from '../list/rows.ts';
import { findIdentities, whoCanGet } from '../list/who.ts';
import { listText, whoText } from '../output/list-text.ts';
import { withProgress } from '../output/progress.ts';
import { styleFor } from '../output/style.ts';
import type { ExitCode } from '../terminal.ts';
import type { Command } from './command.ts';

export const list: Command = {
  usage: 'list',
  summary: 'lists pods with their identities, and who can get an identity (--who)',
  rights: [
    'list pods in the namespace, or in all namespaces for -A and --who; list nodes for --who',
    'list azureidentities, azureidentitybindings and azureassignedidentities in all namespaces',
    'get mutatingwebhookconfigurations, and configmaps in the release namespace, for how the controller matches',
  ],
  options: listOptions,
  async run([unexpected], flags, terminal) {
    if (unexpected !== undefined) throw new SettingsError(`unknown argument ${unexpected}: accepted are flags, see list --help`);
    const values = parseOptions(listOptions, flags);
    const style = styleFor(values.color, terminal);
    const print = (value: unknown, text: string) => terminal.write(values.output === 'json' ? `${JSON.stringify(value, null, 2)}\n` : text);
    return withAccess(values, async (access): Promise<ExitCode> => {
      const isWide = values.allNamespaces || values.who !== undefined;
      const reading = read(access, { ...values, namespace: isWide ? undefined : access.namespace });
      const { identities, assignments, allPods, allNodes, rows } = await withProgress(terminal, ({ waitFor }) =>
        waitFor('the API server', reading),
      );
      for (const right of access.reader.denied())
        terminal.writeError(`you may not ${right}: matching is taken to be as the controller does it by default\n`);
      if (values.who === undefined) {
        print(rows, listText(rows, { isWide, style }));
        return 0;
      }
      const meant = findIdentities(identities, assignments, values.who);
      if (meant.length === 0) throw new SettingsError(`--who is '${values.who}': accepted is ${describeIdentities(identities)}`);
      const who = whoCanGet({ identities: meant, rows, pods: allPods, nodes: allNodes });
      print(who, whoText(who, style));
      return 0;
    });
  },
};

interface ReadOptions {
  /** Of the pods; undefined: all. */
  namespace: string | undefined;
  who: string | undefined;
  releaseNamespace: string | undefined;
}

/** Throws where a list cannot be read: a table without it would be wrong. */
async function read({ reader }: Access, { namespace, who, releaseNamespace }: ReadOptions) {
  const listOf = async (resource: Resource, options: Parameters<typeof reader.list>[1] = {}): Promise<readonly unknown[]> => {
    const found = await reader.list(resource, options);
    if ('value' in found) return found.value;
    if (found.why === 'absent') return [];
    throw new Error(found.why === 'denied' ? `you may not ${found.right}` : found.message);
  };
  const [allPods, allNodes, bindings, rawIdentities, rawAssignments, rules] = await Promise.all([
    listOf(pods, { namespace, ...(who === undefined ? { labelSelector: bindingLabel } : {}) }),
    who === undefined ? [] : listOf(nodes),
    listOf(azureIdentityBindings),
    listOf(azureIdentities),
    listOf(azureAssignedIdentities),
    readMatchRules(reader, releaseNamespace),
  ]);
  const identities = rawIdentities.flatMap((raw) => identityOf(raw) ?? []);
  const assignments = rawAssignments.flatMap((raw) => assignmentOf(raw) ?? []);
  const rows = listIdentities({
    pods: allPods.flatMap((raw) => podOf(raw) ?? []),
    bindings: bindings.flatMap((raw) => bindingOf(raw) ?? []),
    identities,
    assignments,
    rules,
    now: new Date(),
  });
  return { identities, assignments, allPods, allNodes, rows };
}

function describeIdentities(identities: readonly Identity[]): string {
  if (identities.length === 0) return 'an AzureIdentity, and the cluster has none';
  return `one of ${identities
    .slice(0, 10)
    .map(({ key }) => key)
    .join(', ')}${identities.length > 10 ? ' and others' : ''}, or its client id or resource id`;
}
