// The one way in which this repository asks for time, so that every rule about waiting is tested on a fake clock.

export interface Clock {
  /** Milliseconds since 1970. May jump. For what other machines compare: expiry times, timestamps. */
  wall(): number;
  /** Milliseconds since some start. Never jumps. For deadlines, ages and durations. */
  now(): number;
  /** Calls once after `ms` milliseconds; the returned function cancels. */
  after(ms: number, call: () => void): () => void;
}

export const systemClock: Clock = {
  wall: () => Date.now(),
  now: () => performance.now(),
  after(ms, call) {
    const timer = setTimeout(call, ms);
    return () => clearTimeout(timer);
  },
};
