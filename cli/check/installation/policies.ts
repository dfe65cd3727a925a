import { isOlder } from '../../../lib/identities/crd-version.ts';
import { at, isRecord, metadataOf, stringAt } from '../../../lib/kube/objects.ts';
import type { Installation } from '../../cluster/installation.ts';
import type { Finding } from '../../finding.ts';
import { broken, passed, skipped, warning } from '../../finding.ts';
import { unreadable } from '../unreadable.ts';

/** Which of them exist is a choice of the values. */
export function checkPolicies({ policies, policyBindings }: Installation, releaseVersion: string): Finding[] {
  if (!('value' in policies)) return policies.why === 'absent' ? [] : [unreadable('admission policies', policies)];
  if (policies.value.length === 0) return [skipped('admission policies: the values of the chart ask for none')];
  if (!('value' in policyBindings))
    return policyBindings.why === 'absent' ? [] : [unreadable('bindings of admission policies', policyBindings)];
  const problems = policies.value.flatMap((policy) => checkPolicy(policy, policyBindings.value, releaseVersion));
  return problems.length > 0 ? problems : [passed(`admission policies: ${policies.value.length}, each with its binding`)];
}

function checkPolicy(policy: unknown, bindings: readonly unknown[], releaseVersion: string): Finding[] {
  const name = metadataOf(policy).name ?? '';
  const title = `ValidatingAdmissionPolicy ${name}`;
  const command = `kubectl get validatingadmissionpolicy,validatingadmissionpolicybinding ${name} -o yaml`;
  const upgrade = { advice: 'Run helm upgrade with the values of the release.', command };
  const bound = bindings.filter((binding) => stringAt(binding, 'spec', 'policyName') === name);
  if (bound.length === 0) return [broken('PolicyNotBound', { title, message: 'no binding names it, so it does nothing', ...upgrade })];
  if (at(policy, 'spec', 'paramKind') !== undefined && bound.some((binding) => at(binding, 'spec', 'paramRef') === undefined))
    return [broken('PolicyNotBound', { title, message: 'a binding of it has no paramRef, which it needs', ...upgrade })];
  const warnings = at(policy, 'status', 'typeChecking', 'expressionWarnings');
  const [wrong] = Array.isArray(warnings) ? warnings.filter(isRecord) : [];
  if (wrong !== undefined)
    return [
      warning('PolicyInvalid', {
        title,
        message: `the API server warns of ${stringAt(wrong, 'fieldRef') ?? 'an expression'}: ${stringAt(wrong, 'warning') ?? ''}`.trim(),
        ...upgrade,
      }),
    ];
  const found = metadataOf(policy).labels?.['app.kubernetes.io/version'];
  if (releaseVersion !== '' && isOlder(found, releaseVersion))
    return [
      warning('PolicyOld', { title, message: `it is of ${found ?? 'no version'}, and the controller of ${releaseVersion}`, ...upgrade }),
    ];
  return [];
}
