import type { ListedIdentity } from '../list/rows.ts';
import type { Who } from '../list/who.ts';
import type { Style } from './style.ts';
import { age, table } from './table.ts';

export function listText(rows: readonly ListedIdentity[], { isWide, style }: { isWide: boolean; style: Style }): string {
  if (rows.length === 0) return 'No pod has the label aadpodidbinding.\n';
  const head = [...(isWide ? ['NAMESPACE'] : []), 'POD', 'IDENTITY', 'STATE', 'REASON', 'WAITING', 'NODE', 'SCOPE'];
  const cells = rows.map(({ namespace, pod, identity, state, reason, waitingSeconds, node, scope }) => [
    ...(isWide ? [namespace] : []),
    pod,
    identity,
    state,
    reason,
    waitingSeconds === undefined ? '' : age(waitingSeconds),
    node,
    scope.split('/').slice(-2).join('/'),
  ]);
  return table(head, cells, style);
}

/** So many pods are named; a node may run hundreds. */
const namesShown = 20;

export function whoText({ identities, byBinding, nodes, unguarded }: Who, style: Style): string {
  const bound = byBinding.map(({ namespace, pod, binding, state }) => [`${namespace}/${pod}`, binding, state]);
  const lines = [
    style.heading(identities.join(', ')),
    bound.length === 0 ? 'No pod has it by a binding.\n' : table(['POD', 'BINDING', 'STATE'], bound, style),
  ];
  if (nodes.length === 0)
    lines.push('The controller has attached it to no node. Whether somebody else has, Azure knows: az vmss identity show.\n');
  else if (unguarded.length === 0) lines.push(`It is attached to ${nodes.join(', ')}. Every other pod there is kept from IMDS.\n`);
  else {
    const more = unguarded.length > namesShown ? `\n  and ${unguarded.length - namesShown} more` : '';
    lines.push(
      `It is attached to ${nodes.join(', ')}. Nothing keeps these pods there from asking IMDS for it:\n  ${unguarded.slice(0, namesShown).join('\n  ')}${more}\n` +
        'To change that: docs/guard.md or docs/federated-identities.md.\n',
    );
  }
  return lines.join('\n');
}
