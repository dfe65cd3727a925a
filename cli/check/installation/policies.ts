import { at, metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { Installation } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { passed } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

/** Which of them exist is a choice of the values. */
export function checkPolicies({ policies }: Installation): Finding[] {
  if (!('value' in policies)) return policies.why === 'absent' ? [] : [unreadable('admission policies', policies)];
  const failing = policies.value.filter((policy) => {
    const warnings = at(policy, 'status', 'typeChecking', 'expressionWarnings');
    return Array.isArray(warnings) && warnings.length > 0;
  });
  const names = (items: readonly unknown[]) => items.map((item) => metadataOf(item).name ?? stringAt(item, 'metadata', 'name')).join(', ');
  return [passed(`${policies.value.length} admission policies${failing.length === 0 ? '' : `, with type warnings in ${names(failing)}`}`)];
}
