// Requests and limits of the injected containers (spec/injection.md 2.17).
import { isRecord } from '../lib/kube/objects.ts';
import type { PodOptions } from './annotations.ts';
import type { Pod, RawObject } from './pod.ts';
import { parseQuantity } from './quantity.ts';

export interface Amounts {
  cpuRequest: string;
  /** Empty means no limit. */
  cpuLimit: string;
  memoryRequest: string;
  memoryLimit: string;
}

/** `none` where the pod states its needs as a whole, `guaranteed` where ours must not cost the pod its QoS class. */
export type ResourceStyle = 'default' | 'guaranteed' | 'none';

/** With limits equal to requests, a CPU share as small as the usual request would throttle the start of our programs to a crawl. */
const guaranteedCpu = '100m';

export function resourceStyleOf(pod: Pod): ResourceStyle {
  if (isRecord(pod.spec.resources)) return 'none';
  const containers = [...(pod.spec.containers ?? []), ...(pod.spec.initContainers ?? [])];
  return containers.length > 0 && containers.every(isGuaranteed) ? 'guaranteed' : 'default';
}

function isGuaranteed(container: RawObject): boolean {
  const resources = isRecord(container.resources) ? container.resources : {};
  const limits = isRecord(resources.limits) ? resources.limits : {};
  const requests = isRecord(resources.requests) ? resources.requests : {};
  return ['cpu', 'memory'].every((key) => {
    const limit = parseQuantity(limits[key]);
    // An absent request becomes the limit.
    return limit !== undefined && limit > 0 && (requests[key] === undefined || parseQuantity(requests[key]) === limit);
  });
}

/** What the pod asks for on one side moves the default of the other side out of its way. */
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

function pair(request: string, limit: string, askedRequest?: string, askedLimit?: string): [request: string, limit: string] {
  if (askedLimit !== undefined) return [askedRequest ?? smaller(request, askedLimit), askedLimit];
  if (askedRequest !== undefined) return [askedRequest, limit === '' ? '' : larger(limit, askedRequest)];
  return [request, limit];
}

/** `found` is what the container already had: kept where we say nothing, since a LimitRange may demand it. */
export function resourcesFor(style: ResourceStyle, amounts: Amounts, found: RawObject | undefined): RawObject | undefined {
  if (style === 'none') return found;
  const limits: Record<string, string> = {};
  if (amounts.cpuLimit !== '') limits.cpu = amounts.cpuLimit;
  if (amounts.memoryLimit !== '') limits.memory = amounts.memoryLimit;
  if (style === 'guaranteed') {
    const all = { cpu: limits.cpu ?? larger(guaranteedCpu, amounts.cpuRequest), memory: limits.memory ?? amounts.memoryRequest };
    return { limits: all, requests: { ...all } };
  }
  const requests = { cpu: amounts.cpuRequest, memory: amounts.memoryRequest };
  const kept = (key: string) => (isRecord(found?.[key]) ? found[key] : {});
  const resources: RawObject = { requests: { ...kept('requests'), ...requests } };
  const allLimits = { ...kept('limits'), ...limits };
  if (Object.keys(allLimits).length > 0) resources.limits = allLimits;
  return resources;
}

const larger = (a: string, b: string): string => ((parseQuantity(a) ?? 0) >= (parseQuantity(b) ?? 0) ? a : b);
const smaller = (a: string, b: string): string => (larger(a, b) === a ? b : a);
