// Requests and limits of the injected containers.

import { isRecord } from '../../common/records.ts';
import type { PodOptions } from '../../lib/identities/decision/annotations.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { parseQuantity } from '../../lib/kube/quantity.ts';

export interface Amounts {
  cpuRequest: string;
  /** Empty means no limit. */
  cpuLimit: string;
  memoryRequest: string;
  memoryLimit: string;
}

/** `none` for a pod that declares its resources as a whole, `guaranteed` for one that must keep its QoS class. */
export type ResourceStyle = 'default' | 'guaranteed' | 'none';

/** With limits equal to requests, a CPU limit as small as the usual request throttles the start of the token proxy for seconds. */
const guaranteedCpu = '100m';

export function resourceStyleOf(pod: PodView): ResourceStyle {
  if (pod.podLevelResources) return 'none';
  return pod.guaranteed ? 'guaranteed' : 'default';
}

/** A request or limit that the pod sets moves the other default where the two would contradict. */
export function proxyAmounts(defaults: Amounts, options: PodOptions): Amounts {
  const [cpuRequest, cpuLimit] = pair(defaults.cpuRequest, defaults.cpuLimit, options.proxyCpuRequest, options.proxyCpuLimit);
  const [memoryRequest, memoryLimit] = pair(
    defaults.memoryRequest,
    defaults.memoryLimit,
    options.proxyMemoryRequest,
    options.proxyMemoryLimit,
  );
  return { cpuRequest, cpuLimit, memoryRequest, memoryLimit };
}

function pair(request: string, limit: string, ownRequest?: string, ownLimit?: string): [request: string, limit: string] {
  if (ownLimit !== undefined) return [ownRequest ?? smaller(request, ownLimit), ownLimit];
  if (ownRequest !== undefined) return [ownRequest, limit === '' ? '' : larger(limit, ownRequest)];
  return [request, limit];
}

/** `found` is what the container already had. It is kept where we set nothing, since a LimitRange may demand it. */
export function resourcesFor(style: ResourceStyle, amounts: Amounts, found: RawObject | undefined): RawObject | undefined {
  if (style === 'none') return found;
  const limits: Record<string, string> = {};
  if (amounts.cpuLimit !== '') limits.cpu = amounts.cpuLimit;
  if (amounts.memoryLimit !== '') limits.memory = amounts.memoryLimit;
  if (style === 'guaranteed') {
    const all = { cpu: limits.cpu ?? larger(guaranteedCpu, amounts.cpuRequest), memory: limits.memory ?? amounts.memoryRequest };
    return { limits: all, requests: { ...all } };
  }
  const kept = (key: string) => (isRecord(found?.[key]) ? found[key] : {});
  const requests = { ...kept('requests'), cpu: amounts.cpuRequest, memory: amounts.memoryRequest };
  const allLimits = { ...kept('limits'), ...limits };
  return Object.keys(allLimits).length > 0 ? { requests, limits: allLimits } : { requests };
}

const larger = (a: string, b: string): string => ((parseQuantity(a) ?? 0) >= (parseQuantity(b) ?? 0) ? a : b);
const smaller = (a: string, b: string): string => (larger(a, b) === a ? b : a);
