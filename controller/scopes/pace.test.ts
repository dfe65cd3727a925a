import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { azureLimits, fullPace, nextWriteAt, spend } from './pace.ts';

describe('pace of a scope', () => {
  it('allows 12 writes at once, then one every 15 s', () => {
    let pace = fullPace(azureLimits);
    for (let write = 0; write < 12; write += 1) {
      assert.equal(nextWriteAt(pace, false, 0), 0);
      pace = spend(pace, 1, 0);
    }
    assert.equal(nextWriteAt(pace, false, 0), 15_000);
    assert.equal(nextWriteAt(pace, false, 15_000), 15_000);
    assert.equal(nextWriteAt(spend(pace, 1, 15_000), false, 15_000), 30_000);
  });

  it('leaves three writes to identities without suspicion', () => {
    const pace = spend(fullPace(azureLimits), 9, 0);
    assert.equal(nextWriteAt(pace, false, 0), 0);
    assert.equal(nextWriteAt(pace, true, 0), 15_000);
  });
});
