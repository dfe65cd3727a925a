/**
 * A queue with a share for each group: groups take turns, and within a group the first in is the first out. So neither the place nor the wait of an
 * item depends on how many another group has.
 */
export interface FairQueue<T> {
  /** In a full queue the group with the most items loses its newest one. False where that is this item, or where it was another group's. */
  push(group: string, item: T): boolean;
  shift(): T | undefined;
}

export function createFairQueue<T>(max: number): FairQueue<T> {
  /** In the order of their turns. None is empty. */
  const groups = new Map<string, T[]>();
  let size = 0;

  return {
    push(group, item) {
      const isFull = size >= max;
      const longest = isFull ? longestOf(groups) : undefined;
      const own = groups.get(group);
      if (longest !== undefined && (own?.length ?? 0) >= longest.items.length) return false;
      if (longest !== undefined) {
        longest.items.pop();
        if (longest.items.length === 0) groups.delete(longest.group);
        size -= 1;
      }
      if (own === undefined) groups.set(group, [item]);
      else own.push(item);
      size += 1;
      return !isFull;
    },

    shift() {
      const [next] = groups;
      if (next === undefined) return undefined;
      const [group, items] = next;
      const item = items.shift();
      // A Map keeps the order of insertion, so the group goes to the end.
      groups.delete(group);
      if (items.length > 0) groups.set(group, items);
      size -= 1;
      return item;
    },
  };
}

function longestOf<T>(groups: ReadonlyMap<string, T[]>): { group: string; items: T[] } | undefined {
  let longest: { group: string; items: T[] } | undefined;
  for (const [group, items] of groups) if (items.length > (longest?.items.length ?? 0)) longest = { group, items };
  return longest;
}
