import type { Informer } from '../kube/informer.ts';

/** Keeps the keys of a informer's objects grouped by a value they share; ask the returned function for a group. */
export function indexBy<T>(informer: Informer<T>, groupOf: (object: T) => string): (value: string) => Iterable<string> {
  // One key alone stands for itself: most pods have one assignment, and a set for each would cost more than the assignment.
  const groups = new Map<string, string | Set<string>>();

  function leave(value: string, key: string): void {
    const group = groups.get(value);
    if (typeof group === 'object') group.delete(key);
    if (group === key || (typeof group === 'object' && group.size === 0)) groups.delete(value);
  }

  function join(value: string, key: string): void {
    const group = groups.get(value);
    if (typeof group === 'object') group.add(key);
    else groups.set(value, group === undefined ? key : new Set([group, key]));
  }

  informer.onChange(({ key, before, after }) => {
    const from = before === undefined ? undefined : groupOf(before);
    const to = after === undefined ? undefined : groupOf(after);
    if (from === to) return;
    if (from !== undefined) leave(from, key);
    if (to !== undefined) join(to, key);
  });
  return (value) => {
    const group = groups.get(value) ?? [];
    return typeof group === 'string' ? [group] : group;
  };
}
