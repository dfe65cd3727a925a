// Requests and limits of the injected containers.
import type { PodOptions } from '../../lib/identities/decision/annotations.ts';
import { isGuaranteed } from '../../lib/identities/decision/container-view.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { parseQuantity } from '../../lib/kube/quantity.ts';
import { foundAmounts } from './found-containers.ts';

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

/**
 * `found`: the resources that the container has. Other admission may have set them, so its amounts stay, and ours fill in what is missing. Ours win where
 * the pod would lose its QoS class Guaranteed.
 */
export function resourcesFor(style: ResourceStyle, amounts: Amounts, found: unknown): RawObject {
  const [requests, limits] = [foundAmounts(found, 'requests'), foundAmounts(found, 'limits')];
  if (style === 'none') return withoutEmpty(requests, limits);
  const ours = style === 'guaranteed' ? guaranteedAmounts(amounts) : amounts;
  const cpu = filled(ours.cpuRequest, ours.cpuLimit, requests.cpu, limits.cpu);
  const memory = filled(ours.memoryRequest, ours.memoryLimit, requests.memory, limits.memory);
  const all = withoutEmpty({ ...requests, ...onlySet(cpu[0], memory[0]) }, { ...limits, ...onlySet(cpu[1], memory[1]) });
  const losesClass = style === 'guaranteed' && found !== undefined && !isGuaranteed({ resources: all });
  return losesClass ? resourcesFor(style, amounts, undefined) : all;
}

function guaranteedAmounts({ cpuRequest, cpuLimit, memoryRequest, memoryLimit }: Amounts): Amounts {
  const cpu = cpuLimit === '' ? larger(guaranteedCpu, cpuRequest) : cpuLimit;
  const memory = memoryLimit === '' ? memoryRequest : memoryLimit;
  return { cpuRequest: cpu, cpuLimit: cpu, memoryRequest: memory, memoryLimit: memory };
}

/** Of one resource. What we fill in never contradicts what was found, since the API server refuses a request above its limit. */
function filled(request: string, limit: string, foundRequest?: string, foundLimit?: string): [request: string, limit: string] {
  return [
    foundRequest ?? (foundLimit === undefined ? request : smaller(request, foundLimit)),
    foundLimit ?? (limit === '' || foundRequest === undefined ? limit : larger(limit, foundRequest)),
  ];
}

function onlySet(cpu: string, memory: string): Record<string, string> {
  return { ...(cpu === '' ? {} : { cpu }), ...(memory === '' ? {} : { memory }) };
}

function withoutEmpty(requests: Record<string, string>, limits: Record<string, string>): RawObject {
  return Object.fromEntries(Object.entries({ requests, limits }).filter(([, amounts]) => Object.keys(amounts).length > 0));
}

const larger = (a: string, b: string): string => ((parseQuantity(a) ?? 0) >= (parseQuantity(b) ?? 0) ? a : b);
const smaller = (a: string, b: string): string => (larger(a, b) === a ? b : a);
