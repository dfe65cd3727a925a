// The LimitRanges of each namespace together. Combined once, since a namespace may have thousands, and each admission asks.
import { indexBy } from '../lib/identities/index-by.ts';
import type { Informer } from '../lib/kube/informer.ts';
import type { LimitRange, Limits } from './injection/limit-ranges.ts';
import { combine, noLimits } from './injection/limit-ranges.ts';

export function limitsByNamespace(ranges: Pick<Informer<LimitRange>, 'get' | 'onChange'>): (namespace: string) => Limits {
  const keysOf = indexBy(ranges, ({ namespace }) => namespace);
  const combined = new Map<string, Limits>();
  ranges.onChange(({ before, after }) => {
    for (const range of [before, after]) if (range !== undefined) combined.delete(range.namespace);
  });
  return (namespace) => {
    const known = combined.get(namespace);
    if (known !== undefined) return known;
    const all = [...keysOf(namespace)].flatMap((key) => ranges.get(key) ?? []);
    if (all.length === 0) return noLimits;
    const limits = combine(all);
    combined.set(namespace, limits);
    return limits;
  };
}
