// How many requests this sidecar has at IMDS at once: one, two after a success. The VM takes 5 at a time from all of its pods together.

export interface Gate {
  /** Resolves, in order of arrival, with the call that leaves again and says whether it went well; undefined when the signal aborts first. */
  enter(signal: AbortSignal): Promise<((success: boolean) => void) | undefined>;
}

export function createGate(): Gate {
  let limit = 1;
  let inside = 0;
  const queue: (() => void)[] = [];
  const admit = () => {
    while (inside < limit) {
      const next = queue.shift();
      if (next === undefined) return;
      inside += 1;
      next();
    }
  };
  const leave = (success: boolean) => {
    inside -= 1;
    limit = success ? 2 : 1;
    admit();
  };
  return {
    enter(signal) {
      return new Promise((resolve) => {
        if (signal.aborted) return resolve(undefined);
        const give = () => {
          signal.removeEventListener('abort', giveUp);
          resolve(leave);
        };
        const giveUp = () => {
          queue.splice(queue.indexOf(give), 1);
          resolve(undefined);
        };
        signal.addEventListener('abort', giveUp, { once: true });
        queue.push(give);
        admit();
      });
    },
  };
}
