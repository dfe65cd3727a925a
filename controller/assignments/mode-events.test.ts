import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { annotations } from '../../api/names.ts';
import { fakeEvents } from '../../lib/identities/testing/events.ts';
import { identity } from '../../lib/identities/testing/fixtures.ts';
import { fakeInformers } from '../../lib/identities/testing/informers.ts';
import { watchModes } from './mode-events.ts';
import { attachRules } from './testing/fixtures.ts';

/** Of one Azure identity, unless another one is named. */
function annotated(key: string, mode: string | undefined, of = 'green') {
  const { object, identityId } = identity(`team/${of}`);
  const made = identity(key, { identityId });
  const metadata = { ...made.object.metadata, ...(mode === undefined ? {} : { annotations: { [annotations.assignment]: mode } }) };
  return { ...made, object: { ...object, metadata } };
}

function watched(...before: ReturnType<typeof annotated>[]) {
  const { identities } = fakeInformers();
  for (const each of before) identities.put(each.key, each);
  const { events, list } = fakeEvents();
  const stop = watchModes(identities, { events, rules: attachRules });
  return { identities, stop, recorded: () => list.splice(0).map(({ name, reason, message }) => [name, reason, message] as const) };
}

describe('watchModes', () => {
  it('records an annotation that does not count, of old and of new objects', () => {
    const { identities, recorded } = watched(annotated('team/a', 'Federate'));
    identities.put('team/b', annotated('team/b', 'yes', 'blue'));
    const events = recorded();
    assert.deepEqual(
      events.map(([name, reason]) => [name, reason]),
      [
        ['a', 'AssignmentIgnored'],
        ['b', 'AssignmentIgnored'],
      ],
    );
    assert.match(events[0]?.[2] ?? '', /'Federate': accepted is attach or federate/);
  });

  it('names the object that attaches what another one federates, whichever came first', () => {
    const { identities, recorded } = watched(annotated('team/a', 'federate'), annotated('other/b', undefined));
    const [first] = recorded();
    assert.deepEqual(first?.slice(0, 2), ['a', 'StillAttached']);
    assert.match(first?.[2] ?? '', /AzureIdentity other\/b attaches the same Azure identity/);
    identities.put('other/b', annotated('other/b', 'federate'));
    assert.deepEqual(recorded(), []);
    identities.put('other/b', annotated('other/b', 'attach'));
    assert.deepEqual(recorded()[0]?.slice(0, 2), ['a', 'StillAttached']);
  });

  it('records few events for one change, however many objects name the identity', () => {
    const many = Array.from({ length: 500 }, (_, index) => annotated(`team/a${index}`, 'federate'));
    const { identities, recorded } = watched(...many, annotated('team/b', 'attach'));
    recorded();
    identities.put('team/a7', annotated('team/a7', 'federate'));
    assert.deepEqual(
      recorded().map(([name]) => name),
      ['a7'],
    );
    identities.put('team/b', annotated('team/b', 'attach'));
    assert.equal(recorded().length, 20);
  });

  it('records nothing of different Azure identities, nor after the stop', () => {
    const { identities, recorded, stop } = watched(annotated('team/a', 'federate'), annotated('team/b', undefined, 'blue'));
    assert.deepEqual(recorded(), []);
    stop();
    identities.put('team/c', annotated('team/c', 'yes'));
    assert.deepEqual(recorded(), []);
  });
});
