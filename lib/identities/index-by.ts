import type { Informer } from '../kube/informer.ts';

/** Indexes the objects of an informer by a value. The returned function gives the keys of the objects that have the value. */
export function indexBy<T>(
  informer: Pick<Informer<T>, 'onChange'>,
  indexedValueOf: (object: T) => string,
): (value: string) => Iterable<string> {
  // A single key is stored without a set: most pods have one assignment, and a set takes more memory than an assignment.
  const groups = new Map<string, string | Set<string>>();

  function remove(value: string, key: string): void {
    const group = groups.get(value);
    if (typeof group === 'object') group.delete(key);
    if (group === key || (typeof group === 'object' && group.size === 0)) groups.delete(value);
  }

  function add(value: string, key: string): void {
    const group = groups.get(value);
    if (typeof group === 'object') group.add(key);
    else groups.set(value, group === undefined ? key : new Set([group, key]));
  }

  informer.onChange(({ key, before, after }) => {
    const from = before === undefined ? undefined : indexedValueOf(before);
    const to = after === undefined ? undefined : indexedValueOf(after);
    if (from === to) return;
    if (from !== undefined) remove(from, key);
    if (to !== undefined) add(to, key);
  });
  return (value) => {
    const group = groups.get(value) ?? [];
    return typeof group === 'string' ? [group] : group;
  };
}
