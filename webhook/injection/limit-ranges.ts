// What the LimitRanges of a namespace say together. The API server checks them after all webhooks, and refuses the whole pod:
// docs/reference/kubernetes.md#limitranges-and-resourcequotas.
import { at, stringAt } from '../../common/records.ts';
import { listOf } from '../../lib/identities/decision/container-view.ts';
import { parseMilliQuantity } from '../../lib/kube/quantity.ts';

/** For other resources the injected containers get the defaults of LimitRanges. */
export const limitedResources = ['cpu', 'memory'] as const;
export type LimitedResource = (typeof limitedResources)[number];

export interface Quantity {
  /** As somebody wrote it. */
  readonly text: string;
  readonly milli: number;
}

export interface Bound extends Quantity {
  /** Name of the LimitRange. */
  readonly range: string;
}

/** Of one resource. */
export interface Bounds {
  readonly min: Bound | undefined;
  readonly max: Bound | undefined;
  /** Limit of a container that has none. */
  readonly default: Bound | undefined;
  /** How many times the request the limit may be. */
  readonly ratio: Bound | undefined;
}

type BoundsByResource = Readonly<Record<LimitedResource, Bounds>>;

export interface Limits {
  /** For each container. */
  readonly container: BoundsByResource;
  /** For the sum of a pod. */
  readonly pod: BoundsByResource;
}

export interface LimitRange extends Limits {
  readonly namespace: string;
}

export function limitRangeOf(raw: unknown): LimitRange {
  const range = stringAt(raw, 'metadata', 'name') ?? '';
  const items = listOf(at(raw, 'spec', 'limits'));
  const boundsFor = (type: string): BoundsByResource => {
    // The API server accepts one item of a type.
    const item = items.find((each) => at(each, 'type') === type);
    const boundsOf = (resource: LimitedResource): Bounds => {
      const bound = (field: string): Bound | undefined => {
        const quantity = quantityOf(at(item, field, resource));
        return quantity === undefined ? undefined : { ...quantity, range };
      };
      return { min: bound('min'), max: bound('max'), default: bound('default'), ratio: bound('maxLimitRequestRatio') };
    };
    return { cpu: boundsOf('cpu'), memory: boundsOf('memory') };
  };
  return { namespace: stringAt(raw, 'metadata', 'namespace') ?? '', container: boundsFor('Container'), pod: boundsFor('Pod') };
}

/** Undefined for text that is no quantity, such as the empty one. */
export function quantityOf(value: unknown): Quantity | undefined {
  const milli = parseMilliQuantity(value);
  return milli === undefined ? undefined : { text: String(value), milli };
}

/** The strictest bounds. Of several defaults the API server takes any; this takes the smallest. */
export function combine(all: readonly Limits[]): Limits {
  return all.reduce((a, b) => ({ container: stricter(a.container, b.container), pod: stricter(a.pod, b.pod) }), noLimits);
}

function stricter(a: BoundsByResource, b: BoundsByResource): BoundsByResource {
  const both = (resource: LimitedResource): Bounds => ({
    min: larger(a[resource].min, b[resource].min),
    max: smaller(a[resource].max, b[resource].max),
    default: smaller(a[resource].default, b[resource].default),
    ratio: smaller(a[resource].ratio, b[resource].ratio),
  });
  return { cpu: both('cpu'), memory: both('memory') };
}

const unbounded: Bounds = { min: undefined, max: undefined, default: undefined, ratio: undefined };
const unboundedResources: BoundsByResource = { cpu: unbounded, memory: unbounded };
export const noLimits: Limits = { container: unboundedResources, pod: unboundedResources };

export function larger(a: Quantity, b: Quantity | undefined): Quantity;
export function larger<Q extends Quantity>(a: Q | undefined, b: Q | undefined): Q | undefined;
export function larger(a: Quantity | undefined, b: Quantity | undefined): Quantity | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.milli >= b.milli ? a : b;
}

export function smaller(a: Quantity, b: Quantity | undefined): Quantity;
export function smaller<Q extends Quantity>(a: Q | undefined, b: Q | undefined): Q | undefined;
export function smaller(a: Quantity | undefined, b: Quantity | undefined): Quantity | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.milli <= b.milli ? a : b;
}
