// Random histories against the real API server and the emulator, checked against a model (issue "Proof beyond examples").
// MODEL_SEED=n replays one history; MODEL_RUNS=n plays that many, from MODEL_SEED on; MODEL_SHRINK=1 drops commands from one that fails while it fails.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Command } from './model/history.ts';
import { historyOf } from './model/history.ts';
import type { Theatre } from './model/theatre.ts';
import { openTheatre } from './model/theatre.ts';

const { MODEL_SEED: seedText, MODEL_RUNS: runsText, MODEL_SHRINK: shrinkText } = process.env;
const first = Number(seedText ?? 1);
const runs = Number(runsText ?? (seedText === undefined ? 20 : 1));
const shrinkMs = shrinkText === undefined ? 0 : 10 * 60_000;

let theatre: Theatre;
before(async () => {
  theatre = await openTheatre();
});
after(() => theatre?.stop());

/** What is wrong after the history, and once its pods are gone. */
async function problemsOf(history: readonly Command[], patienceMs: number): Promise<string[]> {
  await theatre.reset();
  await theatre.play(history);
  const atRest = await theatre.rest(patienceMs);
  if (atRest.length > 0) return atRest;
  await theatre.clear();
  return (await theatre.rest(patienceMs)).map((problem) => `once all pods are gone: ${problem}`);
}

/** What one history left behind must not fail the next. */
async function reopen(): Promise<void> {
  await theatre.stop();
  theatre = await openTheatre();
}

/** Leaves out runs of commands, halves first, as long as something is still wrong without them. */
async function shrink(history: Command[]): Promise<Command[]> {
  let best = history;
  const deadline = Date.now() + shrinkMs;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.length && Date.now() < deadline; ) {
      const less = best.toSpliced(from, size);
      if ((await problemsOf(less, 10_000)).length === 0) {
        from += size;
        continue;
      }
      best = less;
      await reopen();
    }
  }
  return best;
}

describe('after any history the system comes to rest as the model says', () => {
  for (let seed = first; seed < first + runs; seed += 1) {
    it(`seed ${seed}`, { timeout: 180_000 + shrinkMs }, async () => {
      const history = historyOf(seed);
      const problems = await problemsOf(history, 60_000);
      if (problems.length === 0) return;
      const said = theatre.said();
      await reopen();
      const shown = shrinkMs === 0 ? history : await shrink(history);
      assert.fail([`MODEL_SEED=${seed}`, ...problems, ...shown.map((command) => `  ${JSON.stringify(command)}`), ...said].join('\n'));
    });
  }
});
