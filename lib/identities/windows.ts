import { at, isRecord, stringAt } from '../kube/objects.ts';

const osLabels: readonly unknown[] = ['kubernetes.io/os', 'beta.kubernetes.io/os'];

/**
 * True for a pod that runs on Windows nodes only. The sidecar and its redirect need Linux. The admission plugin RuntimeClass writes the nodeSelector
 * of a runtime class into the pod: docs/reference/kubernetes.md#windows.
 */
export function isWindows(pod: unknown): boolean {
  const selector = at(pod, 'spec', 'nodeSelector');
  const wanted = isRecord(selector) ? osLabels.map((label) => selector[String(label)]) : [];
  const systems = [stringAt(pod, 'spec', 'os', 'name'), ...wanted].filter((system) => system !== undefined);
  if (systems.length > 0) return systems.includes('windows');
  return hasWindowsAffinity(pod) || hasWindowsOptions(pod);
}

/** A node has to satisfy all expressions of one term. */
function hasWindowsAffinity(pod: unknown): boolean {
  const required = at(pod, 'spec', 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution');
  const terms = itemsOf(at(required, 'nodeSelectorTerms'));
  return terms.length > 0 && terms.every((term) => itemsOf(at(term, 'matchExpressions')).some(isWindowsExpression));
}

function isWindowsExpression(expression: unknown): boolean {
  if (!osLabels.includes(at(expression, 'key'))) return false;
  const values = itemsOf(at(expression, 'values'));
  const operator = at(expression, 'operator');
  if (operator === 'In') return values.length > 0 && values.every((value) => value === 'windows');
  return operator === 'NotIn' && values.includes('linux');
}

function hasWindowsOptions(pod: unknown): boolean {
  const containers = ['initContainers', 'containers'].flatMap((field) => itemsOf(at(pod, 'spec', field)));
  return [at(pod, 'spec'), ...containers].some((part) => isRecord(at(part, 'securityContext', 'windowsOptions')));
}

const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
