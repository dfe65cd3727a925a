import type { Informer } from '../kube/informer.ts';

/** Keeps how many of an informer's objects share a value; objects without one do not count. */
export function countBy<T>(informer: Informer<T>, groupOf: (object: T) => string | undefined): (value: string) => number {
  const counts = new Map<string, number>();

  function add(value: string | undefined, change: 1 | -1): void {
    if (value === undefined) return;
    const count = (counts.get(value) ?? 0) + change;
    if (count === 0) counts.delete(value);
    else counts.set(value, count);
  }

  informer.onChange(({ before, after }) => {
    if (before !== undefined) add(groupOf(before), -1);
    if (after !== undefined) add(groupOf(after), 1);
  });
  return (value) => counts.get(value) ?? 0;
}
