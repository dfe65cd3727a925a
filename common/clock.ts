// The one way in which this repository asks for time, so that every rule about waiting is tested on a fake clock.

export interface Clock {
  /** Milliseconds since 1970. May jump. For what other machines compare: expiry times, timestamps. */
  wall(): number;
  /** Milliseconds since some start. Never jumps. For deadlines, ages and durations. */
  now(): number;
  /** Calls once after `ms` milliseconds, soon where they are negative; the returned function cancels. */
  after(ms: number, call: () => void): () => void;
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  now: () => performance.now(),
  after(ms, call) {
    // Node and Bun write a warning to stderr for a negative time.
    const timer = setTimeout(call, Math.max(0, ms));
    return () => clearTimeout(timer);
  },
};
