// One line on a terminal that says what a command waits for. It goes away with the answer.
import type { Terminal } from '../terminal.ts';

export interface Progress {
  /** Resolves and rejects as `work` does. `what` is shown while it is not there. */
  waitFor<T>(what: string, work: Promise<T>): Promise<T>;
}

/** An answer within this time needs no line. */
const patienceMs = 400;

export async function withProgress<T>(terminal: Terminal, use: (progress: Progress) => Promise<T>): Promise<T> {
  if (!terminal.isErrorTerminal || terminal.env.TERM === 'dumb') return use({ waitFor: (_what, work) => work });
  const waiting = new Set<string>();
  let isShown = false;
  const clear = () => {
    if (isShown) terminal.writeError('\r\u001b[K');
    isShown = false;
  };
  const show = () => {
    clear();
    if (waiting.size === 0) return;
    const line = `waiting for ${[...waiting].join(', ')} ...`;
    // A line that wraps could not be taken back.
    terminal.writeError(line.slice(0, terminal.columns - 1));
    isShown = true;
  };
  const timer = setInterval(show, patienceMs);
  try {
    return await use({
      async waitFor(what, work) {
        waiting.add(what);
        try {
          return await work;
        } finally {
          waiting.delete(what);
          if (isShown) show();
        }
      },
    });
  } finally {
    clearInterval(timer);
    clear();
  }
}
