// How many requests this sidecar has at IMDS at once: one, and two after a success. The VM accepts five at once from all of its pods
// together (docs/reference/imds.md).

/** Gives the place back and says whether the request succeeded. */
export type Release = (success: boolean) => void;

export interface ConcurrencyLimiter {
  /** Waits for a place, in order of arrival. Undefined when the signal aborts first. */
  acquire(signal: AbortSignal): Promise<Release | undefined>;
}

export function createConcurrencyLimiter(): ConcurrencyLimiter {
  let limit = 1;
  let running = 0;
  const waiting: (() => void)[] = [];
  const admit = () => {
    while (running < limit) {
      const next = waiting.shift();
      if (next === undefined) return;
      running += 1;
      next();
    }
  };
  const release: Release = (success) => {
    running -= 1;
    limit = success ? 2 : 1;
    admit();
  };
  return {
    acquire(signal) {
      return new Promise((resolve) => {
        if (signal.aborted) return resolve(undefined);
        const grant = () => {
          signal.removeEventListener('abort', leave);
          resolve(release);
        };
        const leave = () => {
          waiting.splice(waiting.indexOf(grant), 1);
          resolve(undefined);
        };
        signal.addEventListener('abort', leave, { once: true });
        waiting.push(grant);
        admit();
      });
    },
  };
}
