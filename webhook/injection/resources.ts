// Requests and limits of the injected containers.
import { at } from '../../common/records.ts';
import type { ContainerOptions } from '../../lib/identities/decision/annotations.ts';
import { isGuaranteed } from '../../lib/identities/decision/container-view.ts';
import type { PodView } from '../../lib/identities/decision/pod-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import type { FitOptions } from './fit.ts';
import { fallbackLimits, fit } from './fit.ts';
import { foundAmounts } from './found-containers.ts';
import type { Bounds, Limits, Quantity } from './limit-ranges.ts';
import { larger, quantityOf, smaller } from './limit-ranges.ts';

export interface Amounts {
  cpuRequest: string;
  /** Empty means no limit. */
  cpuLimit: string;
  memoryRequest: string;
  memoryLimit: string;
}

/** `none` for a pod that declares its resources as a whole, `guaranteed` for one that must keep its QoS class. */
export type ResourceStyle = 'default' | 'guaranteed' | 'none';

export function resourceStyleOf(pod: PodView): ResourceStyle {
  if (pod.podLevelResources) return 'none';
  return pod.guaranteed ? 'guaranteed' : 'default';
}

/**
 * The settings of a container, changed by each of `layers` in turn: annotations of the namespace, then of the pod. A request or limit that a layer
 * sets moves the other one where the two would contradict.
 */
export function amountsOf(container: 'proxy' | 'init', settings: Amounts, layers: readonly ContainerOptions[]): Amounts {
  return layers.reduce(({ cpuRequest, cpuLimit, memoryRequest, memoryLimit }, options) => {
    const cpu = pair(cpuRequest, cpuLimit, options[`${container}CpuRequest`], options[`${container}CpuLimit`]);
    const memory = pair(memoryRequest, memoryLimit, options[`${container}MemoryRequest`], options[`${container}MemoryLimit`]);
    return { cpuRequest: cpu[0], cpuLimit: cpu[1], memoryRequest: memory[0], memoryLimit: memory[1] };
  }, settings);
}

function pair(request: string, limit: string, ownRequest?: string, ownLimit?: string): [request: string, limit: string] {
  if (ownLimit !== undefined) return [ownRequest ?? smallerText(request, ownLimit), ownLimit];
  if (ownRequest !== undefined) return [ownRequest, limit === '' ? '' : largerText(limit, ownRequest)];
  return [request, limit];
}

/**
 * The amounts that LimitRanges accept, and a ResourceQuota on `limits.cpu`: under one every container needs a CPU limit, so ours get one where all
 * containers of the pod have one.
 */
export function fittedAmounts(amounts: Amounts, pod: PodView, { container }: Limits): Amounts {
  // Requests equal to the default of a LimitRange would reserve all of it: without requests of its own a pod is guaranteed with such a default.
  const ownLimit = pod.guaranteed && amounts.cpuLimit === '' ? fallbackLimits.cpu : quantityOf(amounts.cpuLimit);
  const cpu = fitOne(amounts.cpuRequest, ownLimit, container.cpu, { resource: 'cpu', needsLimit: hasCpuLimits(pod) });
  const memory = fitOne(amounts.memoryRequest, quantityOf(amounts.memoryLimit), container.memory, {
    resource: 'memory',
    needsLimit: false,
  });
  return { cpuRequest: cpu.request, cpuLimit: cpu.limit, memoryRequest: memory.request, memoryLimit: memory.limit };
}

function fitOne(text: string, limit: Quantity | undefined, bounds: Bounds, options: FitOptions): { request: string; limit: string } {
  const request = quantityOf(text);
  if (request === undefined) return { request: text, limit: limit?.text ?? '' };
  const fitted = fit({ request, limit }, bounds, options);
  return { request: fitted.request.text, limit: fitted.limit?.text ?? '' };
}

function hasCpuLimits({ containers, initContainers }: PodView): boolean {
  return [...containers, ...initContainers].every(({ raw }) => quantityOf(at(raw.resources, 'limits', 'cpu')) !== undefined);
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
  const cpu = cpuLimit === '' ? cpuRequest : cpuLimit;
  const memory = memoryLimit === '' ? memoryRequest : memoryLimit;
  return { cpuRequest: cpu, cpuLimit: cpu, memoryRequest: memory, memoryLimit: memory };
}

/** Of one resource. What we fill in never contradicts what was found, since the API server refuses a request above its limit. */
function filled(request: string, limit: string, foundRequest?: string, foundLimit?: string): [request: string, limit: string] {
  return [
    foundRequest ?? (foundLimit === undefined ? request : smallerText(request, foundLimit)),
    foundLimit ?? (limit === '' || foundRequest === undefined ? limit : largerText(limit, foundRequest)),
  ];
}

function onlySet(cpu: string, memory: string): Record<string, string> {
  return { ...(cpu === '' ? {} : { cpu }), ...(memory === '' ? {} : { memory }) };
}

function withoutEmpty(requests: Record<string, string>, limits: Record<string, string>): RawObject {
  return Object.fromEntries(Object.entries({ requests, limits }).filter(([, amounts]) => Object.keys(amounts).length > 0));
}

/** A text that is none, such as the empty one, counts as 0. */
const largerText = (a: string, b: string): string => larger(amountOf(a), amountOf(b)).text;
const smallerText = (a: string, b: string): string => smaller(amountOf(b), amountOf(a)).text;
const amountOf = (text: string): Quantity => quantityOf(text) ?? { text, milli: 0 };
