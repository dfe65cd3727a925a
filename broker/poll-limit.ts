// Bounds the polls that are under way, of each pod and in all. A newer poll takes the place of the oldest one: a sidecar that was restarted, or whose
// connection was cut without a word, leaves polls behind that nobody reads any more.

export interface PollLimit {
  /** `end` is called when a newer poll takes the place: the poll is to be answered then. The returned function gives the place back. */
  enter(uid: string, end: () => void): () => void;
  /** Pods with a poll under way. */
  readonly pods: number;
}

interface Poll {
  uid: string;
  end(): void;
}

export function createPollLimit({ perPod, total, onEnded }: { perPod: number; total: number; onEnded: () => void }): PollLimit {
  // Both in the order of arrival.
  const all = new Set<Poll>();
  const byPod = new Map<string, Set<Poll>>();

  function leave(poll: Poll): void {
    all.delete(poll);
    const own = byPod.get(poll.uid);
    own?.delete(poll);
    if (own?.size === 0) byPod.delete(poll.uid);
  }

  function endOldest(polls: Iterable<Poll>): void {
    const [oldest] = polls;
    if (oldest === undefined) return;
    leave(oldest);
    oldest.end();
    onEnded();
  }

  return {
    enter(uid, end) {
      const poll: Poll = { uid, end };
      const own = byPod.get(uid) ?? new Set();
      byPod.set(uid, own.add(poll));
      all.add(poll);
      if (own.size > perPod) endOldest(own);
      else if (all.size > total) endOldest(all);
      return () => leave(poll);
    },
    get pods() {
      return byPod.size;
    },
  };
}
