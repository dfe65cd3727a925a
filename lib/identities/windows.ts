import { at, isRecord, stringAt } from '../kube/objects.ts';

const osLabel = 'kubernetes.io/os';
const osLabels: readonly unknown[] = [osLabel, 'beta.kubernetes.io/os'];

/** True for a pod that its author means for Windows. The sidecar and its redirect need Linux. */
export function isWindows(pod: unknown): boolean {
  return isWindowsOnly(pod) || (hasWindowsOptions(pod) && systemsOf(pod).length === 0);
}

/**
 * True for a pod that no Linux node runs, whatever its author means. The admission plugin RuntimeClass writes the nodeSelector of a runtime class into
 * the pod: docs/reference/kubernetes.md#windows.
 */
export function isWindowsOnly(pod: unknown): boolean {
  return systemsOf(pod).includes('windows') || hasWindowsAffinity(pod);
}

function systemsOf(pod: unknown): unknown[] {
  const selector = at(pod, 'spec', 'nodeSelector');
  const wanted = isRecord(selector) ? osLabels.map((label) => selector[String(label)]) : [];
  return [stringAt(pod, 'spec', 'os', 'name'), ...wanted].filter((system) => system !== undefined);
}

/** A node has to satisfy all expressions of one term. */
function hasWindowsAffinity(pod: unknown): boolean {
  const required = at(pod, 'spec', 'affinity', 'nodeAffinity', 'requiredDuringSchedulingIgnoredDuringExecution');
  const terms = itemsOf(at(required, 'nodeSelectorTerms'));
  return terms.length > 0 && terms.every((term) => itemsOf(at(term, 'matchExpressions')).some(isWindowsExpression));
}

function isWindowsExpression(expression: unknown): boolean {
  const key = at(expression, 'key');
  const values = itemsOf(at(expression, 'values'));
  const operator = at(expression, 'operator');
  if (operator === 'In') return osLabels.includes(key) && values.length > 0 && values.every((value) => value === 'windows');
  // Satisfied by a node without the label too, and the older one may go.
  return operator === 'NotIn' && key === osLabel && values.includes('linux');
}

function hasWindowsOptions(pod: unknown): boolean {
  const containers = ['initContainers', 'containers'].flatMap((field) => itemsOf(at(pod, 'spec', field)));
  return [at(pod, 'spec'), ...containers].some((part) => isRecord(at(part, 'securityContext', 'windowsOptions')));
}

const itemsOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
