// Random histories on the real system, compared with a model: docs/adr/0017-real-parts-in-tests.md.
// MODEL_SEED=n runs one history; MODEL_RUNS=n runs that many, from MODEL_SEED on; MODEL_SHRINK=1 drops commands from a failing one as long as it fails.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Command } from './model/history.ts';
import { historyOf } from './model/history.ts';
import type { ModelledSystem } from './model/system.ts';
import { startModelledSystem } from './model/system.ts';

const { MODEL_SEED: seedText, MODEL_RUNS: runsText, MODEL_SHRINK: shrinkText } = process.env;
const first = Number(seedText ?? 1);
const runs = Number(runsText ?? (seedText === undefined ? 20 : 1));
const shrinkMs = shrinkText === undefined ? 0 : 10 * 60_000;

let system: ModelledSystem;
before(async () => {
  system = await startModelledSystem();
});
after(() => system?.stop());

/** How the system differs from the model after the history, or once its pods are deleted. */
async function differencesAfter(history: readonly Command[], limitMs: number): Promise<string[]> {
  await system.reset();
  await system.run(history);
  const differences = await system.settle(limitMs);
  if (differences.length > 0) return differences;
  await system.deletePods();
  return (await system.settle(limitMs)).map((difference) => `once all pods are deleted: ${difference}`);
}

/** What a failed history left behind must not fail the next. */
async function restart(): Promise<void> {
  await system.stop();
  system = await startModelledSystem();
}

/** Leaves out runs of commands, halves first, as long as the rest still fails. */
async function shrink(history: Command[]): Promise<Command[]> {
  let best = history;
  const deadline = Date.now() + shrinkMs;
  for (let size = Math.ceil(best.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < best.length && Date.now() < deadline; ) {
      const less = best.toSpliced(from, size);
      if ((await differencesAfter(less, 10_000)).length === 0) {
        from += size;
        continue;
      }
      best = less;
      await restart();
    }
  }
  return best;
}

describe('the controller after a random history', () => {
  for (let seed = first; seed < first + runs; seed += 1) {
    it(`settles as the model says, seed ${seed}`, { timeout: 180_000 + shrinkMs }, async () => {
      const history = historyOf(seed);
      const differences = await differencesAfter(history, 50_000);
      if (differences.length === 0) return;
      const records = system.lastRecords();
      await restart();
      const shown = shrinkMs === 0 ? history : await shrink(history);
      const commands = shown.map((command) => `  ${JSON.stringify(command)}`);
      assert.fail([`MODEL_SEED=${seed}`, ...differences, ...commands, ...records].join('\n'));
    });
  }
});
