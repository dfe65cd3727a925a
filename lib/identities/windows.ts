import { at, isRecord, stringAt } from '../kube/objects.ts';

/** True for a pod that runs on Windows nodes only. The sidecar and its redirect need Linux. */
export function isWindows(pod: unknown): boolean {
  const selector = at(pod, 'spec', 'nodeSelector');
  const wanted = isRecord(selector) ? [selector['kubernetes.io/os'], selector['beta.kubernetes.io/os']] : [];
  return [stringAt(pod, 'spec', 'os', 'name'), ...wanted].includes('windows');
}
