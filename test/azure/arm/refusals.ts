// Refusals of a write that last until a person acts, in ARM's own words. docs/reference/arm.md#other-errors
import type { Answer } from '../core/messages.ts';
import { json } from '../core/messages.ts';
import type { Refusal } from '../faults/effects.ts';
import type { ComputeResource } from '../state/model.ts';
import { failure } from './errors.ts';

/** `who`: the caller, `type`: that of the resource, as their texts begin. */
export function refusal(
  refused: Refusal,
  resource: Pick<ComputeResource, 'id' | 'name' | 'subscription' | 'resourceGroup'>,
  { who, type }: { who: string; type: string },
): Answer {
  const { id, name, subscription, resourceGroup } = resource;
  const group = `/subscriptions/${subscription}/resourceGroups/${resourceGroup}`;
  switch (refused.fault) {
    case 'scope-locked':
      return failure(
        409,
        'ScopeLocked',
        `The scope '${id}' cannot perform write operation because following scope(s) are locked: '${refused.scope ?? group}'. Please remove the lock and try again.`,
      );
    case 'subscription-disabled':
      return failure(
        409,
        'ReadOnlyDisabledSubscription',
        `The subscription '${subscription}' is disabled and therefore marked as read only. You cannot perform any write actions on this subscription until it is re-enabled.`,
      );
    case 'property-change':
      return failure(409, 'PropertyChangeNotAllowed', `Changing property '${refused.property}' is not allowed.`, {}, refused.property);
    case 'quota-exceeded':
      return failure(
        409,
        'OperationNotAllowed',
        'Operation could not be completed as it results in exceeding approved Total Regional Cores quota. Additional details - Current Limit: 10, Current Usage: 10, Additional Required: 2.',
      );
    case 'policy-denied':
      return policyDenied(name, refused.evaluates);
    case 'linked-forbidden':
      return failure(
        403,
        'LinkedAuthorizationFailed',
        `${who} has permission to perform action '${type}/write' on scope '${id}'; however, it does not have permission to perform action(s) '${refused.action}' on the linked scope(s) '${refused.scope}' (respectively) or the linked scope(s) are invalid.`,
      );
    case 'reference-missing':
      return failure(404, 'ResourceNotFound', `The Resource '${refused.target}' under resource group '${resourceGroup}' was not found.`);
    default:
      return refused satisfies never;
  }
}

function policyDenied(name: string, path: string): Answer {
  const assignment = '/providers/Microsoft.Management/managementGroups/all/providers/Microsoft.Authorization/policyAssignments/rule';
  const expression = { result: 'False', expressionKind: 'Field', expression: path, path, operator: 'In' };
  const info = { policyAssignmentId: assignment, evaluationDetails: { evaluatedExpressions: [expression] } };
  return json(403, {
    error: {
      code: 'RequestDisallowedByPolicy',
      target: name,
      message: `Resource '${name}' was disallowed by policy. Policy identifiers: '[{"policyAssignment":{"name":"rule","id":"${assignment}"}}]'.`,
      additionalInfo: [{ type: 'PolicyViolation', info }],
    },
  });
}
