import type { Reflector } from '../../lib/kube/reflector.ts';

/** Keeps the keys of a reflector's objects grouped by a value they share; ask the returned function for a group. */
export function groupBy<T>(reflector: Reflector<T>, groupOf: (object: T) => string): (value: string) => ReadonlySet<string> {
  const groups = new Map<string, Set<string>>();
  reflector.onChange(({ key, before, after }) => {
    const from = before === undefined ? undefined : groupOf(before);
    const to = after === undefined ? undefined : groupOf(after);
    if (from === to) return;
    if (from !== undefined) {
      const group = groups.get(from);
      group?.delete(key);
      if (group?.size === 0) groups.delete(from);
    }
    if (to !== undefined) {
      const group = groups.get(to);
      if (group === undefined) groups.set(to, new Set([key]));
      else group.add(key);
    }
  });
  return (value) => groups.get(value) ?? nothing;
}

const nothing: ReadonlySet<string> = new Set();
