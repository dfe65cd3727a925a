// Random histories against the real API server and the emulator, checked against a model (issue "Proof beyond examples").
// MODEL_SEED=n replays one history; MODEL_RUNS=n plays that many, from MODEL_SEED on.
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { historyOf } from './model/history.ts';
import type { Theatre } from './model/theatre.ts';
import { openTheatre } from './model/theatre.ts';

const { MODEL_SEED: seedText, MODEL_RUNS: runsText } = process.env;
const first = Number(seedText ?? 1);
const runs = Number(runsText ?? (seedText === undefined ? 20 : 1));

let theatre: Theatre;
before(async () => {
  theatre = await openTheatre();
});
after(() => theatre?.stop());

describe('after any history the system comes to rest as the model says', () => {
  for (let seed = first; seed < first + runs; seed += 1) {
    it(`seed ${seed}`, { timeout: 180_000 }, async () => {
      const history = historyOf(seed);
      const told = () => `MODEL_SEED=${seed}\n${history.map((command) => `  ${JSON.stringify(command)}`).join('\n')}\n`;
      await theatre.reset();
      await theatre.play(history);
      assert.deepEqual(await theatre.rest(), [], `at rest, ${told()}`);
      await theatre.clear();
      assert.deepEqual(await theatre.rest(), [], `once all pods are gone, ${told()}`);
    });
  }
});
