import type { Logger } from './log.ts';

/** Stops the parts of a program, the newest first. A part that fails to stop does not keep the others from it. */
export interface Stopper {
  add(name: string, stop: () => Promise<void> | void): void;
  stop(): Promise<void>;
}

export function createStopper(log: Logger): Stopper {
  const parts: { name: string; stop: () => Promise<void> | void }[] = [];
  return {
    add(name, stop) {
      parts.push({ name, stop });
    },
    async stop() {
      for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
        try {
          await part.stop();
        } catch (error) {
          log.error({ part: part.name, error: String(error) }, 'could not stop cleanly');
        }
      }
    },
  };
}

/** Resolves with the first SIGTERM or SIGINT; a second one ends the process at once. */
export function untilSignal(): Promise<NodeJS.Signals> {
  return new Promise((resolve) => {
    const first = (signal: NodeJS.Signals) => {
      process.off('SIGTERM', first).off('SIGINT', first);
      process.on('SIGTERM', () => process.exit(143)).on('SIGINT', () => process.exit(130));
      resolve(signal);
    };
    process.on('SIGTERM', first).on('SIGINT', first);
  });
}
