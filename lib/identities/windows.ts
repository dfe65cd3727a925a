import { at, isRecord, stringAt } from '../kube/objects.ts';

/** True for a pod that can only run on Windows nodes, which no redirect and no sidecar of ours works on. */
export function isWindows(pod: unknown): boolean {
  const selector = at(pod, 'spec', 'nodeSelector');
  const wanted = isRecord(selector) ? [selector['kubernetes.io/os'], selector['beta.kubernetes.io/os']] : [];
  return [stringAt(pod, 'spec', 'os', 'name'), ...wanted].includes('windows');
}
