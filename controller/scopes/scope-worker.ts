// Runs the passes of one ARM scope: when something changed, when the last pass said so, never two at a time.
import { collectCalls } from '../../lib/controller/debounce.ts';
import type { ScopePassOptions } from './reconciler.ts';
import { createScopePass } from './reconciler.ts';

export interface ScopeWorkerOptions extends ScopePassOptions {
  /** Nothing is left to do; a scope that is needed again gets a new worker. */
  onIdle(): void;
}

/** A timer for longer would fire at once. */
const longestTimerMs = 2 ** 31 - 1;

export interface ScopeWorker {
  wake(): void;
  /** Compares with Azure even where nothing is waiting. */
  lookAgain(): void;
  stop(): Promise<void>;
}

export function runScopeWorker(options: ScopeWorkerOptions): ScopeWorker {
  const stopping = new AbortController();
  const pass = createScopePass(options);
  let timer: NodeJS.Timeout | undefined;

  const collector = collectCalls({
    quietMs: options.quietMs,
    maxMs: options.maxMs,
    async run() {
      const nextMs = await pass.run(stopping.signal);
      clearTimeout(timer);
      if (stopping.signal.aborted) return;
      if (Number.isFinite(nextMs)) timer = setTimeout(() => collector.call(), Math.min(nextMs, longestTimerMs));
      else if (!collector.called) options.onIdle();
    },
  });

  return {
    wake() {
      pass.wake();
      collector.call();
    },
    lookAgain() {
      pass.lookAgain();
      collector.call();
    },
    async stop() {
      stopping.abort(new Error('stopped'));
      clearTimeout(timer);
      await collector.stop();
    },
  };
}
