import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { createTurns } from './turns.ts';

const names = (prefix: string, count: number) => Array.from({ length: count }, (_, index) => `${prefix}-${index}`);

/** All turns that come at once are used up, and so many identities of the namespace wait. */
function busy({ namespace = 'flood', waiting = 0 } = {}) {
  const clock = createFakeClock();
  const came: string[] = [];
  const turns = createTurns({ clock, onTurn: (identity) => came.push(identity) });
  for (const identity of names('first', 100)) assert.equal(turns.take(identity, [namespace]), 0);
  for (const identity of names(namespace, waiting)) assert.ok(turns.take(identity, [namespace]) > 0);
  return { clock, turns, came };
}

describe('turns to compare identities', () => {
  it('come to 200 identities of one namespace within 15 s', async () => {
    const { clock, turns, came } = busy({ namespace: 'team', waiting: 100 });
    assert.ok(turns.take('team-99', ['team']) <= 15_000);
    await clock.advance(15_000);
    assert.deepEqual(came, names('team', 100));
    for (const identity of came) assert.equal(turns.take(identity, ['team']), 0);
  });

  it('are fewer than Azure allows for a subscription, whatever namespaces do', async () => {
    const { clock, turns, came } = busy();
    for (let team = 0; team < 100; team += 1) for (const identity of names(`team-${team}`, 10)) turns.take(identity, [`team-${team}`]);
    await clock.advance(10_000);
    assert.ok(came.length <= 80);
    const [readsAtOnce, readsPerSecond] = [250, 25];
    assert.ok(2 * (100 + came.length) < readsAtOnce + 10 * readsPerSecond);
  });

  it('come within a second while another namespace has thousands', async () => {
    const { clock, turns, came } = busy({ waiting: 5_000 });
    assert.ok(turns.take('other', ['other']) <= 1_000);
    await clock.advance(1_000);
    assert.ok(came.includes('other'));
    assert.equal(turns.take('other', ['other']), 0);
  });

  it('are not delayed by an identity that several namespaces need', async () => {
    const { clock, turns, came } = busy({ waiting: 50 });
    turns.take('shared', ['flood', 'other']);
    turns.take('shared', ['flood', 'other']);
    turns.take('next', ['flood', 'other']);
    await clock.advance(1_000);
    assert.deepEqual(
      came.filter((identity) => !identity.startsWith('flood')),
      ['shared', 'next'],
    );
    await clock.advance(60_000);
    assert.equal(came.length, 52);
  });

  it('are not used up by identities that left', async () => {
    const { clock, turns, came } = busy({ waiting: 50 });
    turns.take('last', ['flood']);
    for (const identity of names('flood', 50)) turns.leave(identity);
    await clock.advance(200);
    assert.deepEqual(came, ['last']);
  });

  it('come at once again after a pause', async () => {
    const { clock, turns } = busy();
    await clock.advance(13_000);
    for (const identity of names('again', 100)) assert.equal(turns.take(identity, ['team']), 0);
  });

  it('do not come after a stop', async () => {
    const { clock, turns, came } = busy({ waiting: 1 });
    turns.stop();
    await clock.advance(10_000);
    assert.deepEqual(came, []);
  });
});
