/**
 * A queue with a share for each group: groups take turns, and within a group the first in is the first out. So neither the place nor the wait of an
 * item depends on how many another group has.
 */
export interface FairQueue<T> {
  /** Returns the item that has no place, if the queue is full: this one, or the newest of the group with the most where that group has more. */
  push(group: string, item: T): T | undefined;
  shift(): T | undefined;
  /** Of the newest item of the group, from 1, if nothing is added before it goes; at most one too high for each other group. */
  lastPositionOf(group: string): number;
  readonly size: number;
}

export function createFairQueue<T extends NonNullable<unknown>>(max: number): FairQueue<T> {
  /** In the order of their turns. None is empty. */
  const groups = new Map<string, T[]>();
  let size = 0;

  return {
    push(group, item) {
      const own = groups.get(group);
      let displaced: T | undefined;
      if (size >= max) {
        const longest = longestOf(groups);
        if (longest.length <= (own?.length ?? 0) + 1) return item;
        displaced = longest.pop();
        size -= 1;
      }
      if (own === undefined) groups.set(group, [item]);
      else own.push(item);
      size += 1;
      return displaced;
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

    lastPositionOf(group) {
      const rounds = groups.get(group)?.length ?? 0;
      let position = 0;
      for (const items of groups.values()) position += Math.min(items.length, rounds);
      return position;
    },

    get size() {
      return size;
    },
  };
}

function longestOf<T>(groups: ReadonlyMap<string, T[]>): T[] {
  let longest: T[] = [];
  for (const items of groups.values()) if (items.length > longest.length) longest = items;
  return longest;
}
