import { createFairQueue } from './fair-queue.ts';

/** A lock that one holds at a time; the groups that wait take turns. */
export interface FairLock {
  /** Resolves to the function that gives the lock back, which may be called more than once. */
  acquire(group: string): Promise<() => void>;
}

export function createFairLock(): FairLock {
  const waiting = createFairQueue<() => void>(Number.POSITIVE_INFINITY);
  let held = false;

  function next(): void {
    const grant = waiting.shift();
    held = grant !== undefined;
    grant?.();
  }

  function release(): () => void {
    let released = false;
    return () => {
      if (released) return;
      released = true;
      // What has arrived meanwhile comes first.
      setImmediate(next);
    };
  }

  return {
    acquire(group) {
      return new Promise((resolve) => {
        waiting.push(group, () => resolve(release()));
        if (!held) next();
      });
    },
  };
}
