import type { Finding } from '../../finding.ts';
import { passed, skipped } from '../../finding.ts';
import type { MigrationInput } from '../input.ts';
import { count, names } from './names.ts';

/** A line for each namespace: its objects stay as they are. */
export function unchangedFindings(input: MigrationInput): Finding[] {
  const { identities, bindings, exceptions, workloads, otherKinds } = input;
  const namespaces = [
    ...new Set([identities, bindings, exceptions, workloads].flatMap((items) => items.map(({ namespace }) => namespace))),
  ].sort();
  const lines = namespaces.map((namespace) => {
    const of = (items: readonly { namespace: string }[]) => items.filter((item) => item.namespace === namespace).length;
    const parts = [
      [of(identities), 'AzureIdentity', 'AzureIdentities'],
      [of(bindings), 'AzureIdentityBinding', 'AzureIdentityBindings'],
      [of(exceptions), 'AzurePodIdentityException', 'AzurePodIdentityExceptions'],
      [of(workloads), 'labelled workload', 'labelled workloads'],
    ] as const;
    return passed(
      `${namespace}: ${parts
        .filter(([amount]) => amount > 0)
        .map(([amount, one, many]) => count(amount, one, many))
        .join(', ')}`,
    );
  });
  const weighted = bindings.filter(({ object }) => object.spec?.weight !== undefined).map(({ key }) => key);
  return [
    ...lines,
    ...(weighted.length === 0 ? [] : [passed(`weight has no effect, as before: ${names(weighted)}`)]),
    ...(otherKinds.size === 0
      ? []
      : [skipped(`of no matter for the move: ${[...otherKinds].map(([kind, amount]) => `${amount} ${kind}`).join(', ')}`)]),
  ];
}
