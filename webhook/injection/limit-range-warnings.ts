// Why LimitRanges refuse the rendered pod although its amounts were fitted. The refusal of the API server names neither the LimitRange nor a remedy.
import { injectedContainerNames } from '../../api/injection.ts';
import { annotationPrefix, initContainerName } from '../../api/names.ts';
import { at, isRecord } from '../../common/records.ts';
import { hasAmounts, listOf } from '../../lib/identities/decision/container-view.ts';
import type { RawObject } from '../../lib/identities/decision/raw-pod.ts';
import { nameOf } from '../../lib/identities/decision/raw-pod.ts';
import type { FoundAmount } from './fit.ts';
import { textOf, violationOf } from './fit.ts';
import type { Bounds, LimitedResource, Limits, Quantity } from './limit-ranges.ts';
import { larger, limitedResources, quantityOf } from './limit-ranges.ts';

export function limitRangeWarnings(pod: RawObject, limits: Limits): string[] {
  // With resources of the pod as a whole, LimitRanges give the injected containers their defaults and judge the pod by its own numbers.
  if (hasAmounts(at(pod, 'spec', 'resources'))) return [];
  const initContainers = listOf(at(pod, 'spec', 'initContainers')).filter(isRecord);
  const containers = listOf(at(pod, 'spec', 'containers')).filter(isRecord);
  const injected = [...initContainers, ...containers].filter((container) => injectedContainerNames.has(nameOf(container)));
  return limitedResources.flatMap((resource) => {
    const violation = violationOf(totalOf(initContainers, containers, resource), limits.pod[resource]);
    const ofPod = violation === undefined ? [] : [`the pod with the injected containers does not fit: ${resource} ${violation} for pods`];
    return [...injected.flatMap((container) => containerWarnings(container, resource, limits.container[resource])), ...ofPod];
  });
}

function containerWarnings(container: RawObject, resource: LimitedResource, bounds: Bounds): string[] {
  const violation = violationOf(amountIn(container, resource), bounds);
  if (violation === undefined) return [];
  const { min, max } = bounds;
  const program = nameOf(container) === initContainerName ? 'init' : 'proxy';
  const remedy =
    min !== undefined && max !== undefined && min.milli > max.milli
      ? `min ${min.text} of LimitRange ${min.range} contradicts it`
      : `change the LimitRange, or the annotation ${annotationPrefix}${program}-${resource}-request`;
  return [`${nameOf(container)} does not fit: ${resource} ${violation}: ${remedy}`];
}

const amountIn = (container: RawObject, resource: LimitedResource): FoundAmount => ({
  request: quantityOf(at(container.resources, 'requests', resource)),
  limit: quantityOf(at(container.resources, 'limits', resource)),
});

/** What the pod takes at most at one time: everything that runs on, or an init container beside the native sidecars before it. */
function totalOf(initContainers: readonly RawObject[], containers: readonly RawObject[], resource: LimitedResource): FoundAmount {
  const sum = (field: keyof FoundAmount): Quantity | undefined => {
    const amountOf = (container: RawObject) => amountIn(container, resource)[field];
    let sidecars: Quantity | undefined;
    let starting: Quantity | undefined;
    for (const container of initContainers) {
      const together = plus(sidecars, amountOf(container), resource);
      if (container.restartPolicy === 'Always') sidecars = together;
      starting = larger(starting, together);
    }
    const running = containers.reduce<Quantity | undefined>((all, container) => plus(all, amountOf(container), resource), sidecars);
    return larger(running, starting);
  };
  return { request: sum('request'), limit: sum('limit') };
}

function plus(a: Quantity | undefined, b: Quantity | undefined, resource: LimitedResource): Quantity | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  const milli = a.milli + b.milli;
  return { text: textOf(milli, resource), milli };
}
