import type { Informer } from '../kube/informer.ts';

/** Counts the objects of an informer by a value. Objects without a value do not count. */
export function countBy<T>(informer: Informer<T>, countedValueOf: (object: T) => string | undefined): (value: string) => number {
  const counts = new Map<string, number>();

  function add(value: string | undefined, change: 1 | -1): void {
    if (value === undefined) return;
    const count = (counts.get(value) ?? 0) + change;
    if (count === 0) counts.delete(value);
    else counts.set(value, count);
  }

  informer.onChange(({ before, after }) => {
    if (before !== undefined) add(countedValueOf(before), -1);
    if (after !== undefined) add(countedValueOf(after), 1);
  });
  return (value) => counts.get(value) ?? 0;
}
