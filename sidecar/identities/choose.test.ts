import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { IdentityRow } from '../../api/broker.ts';
import type { Selector } from '../../api/identity-choice.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { identities, row } from '../testing/fixtures.ts';
import type { Choice } from './choose.ts';
import { choose } from './choose.ts';
import { createIdentityStore } from './store.ts';

function createHarness() {
  const clock = createFakeClock();
  const store = createIdentityStore(clock);
  const choice = (selector?: Selector, arrival = clock.now()): Choice =>
    choose({ store, selector, now: clock.now(), arrival, unknownIdentityMs: 5000 });
  /** The name of the chosen identity, or the kind of another choice. */
  const chosen = (selector?: Selector) => {
    const made = choice(selector);
    return made.kind === 'row' ? made.row.name : made.kind;
  };
  return { clock, store, choice, chosen };
}
const clientId = (value: string): Selector => ({ name: 'client_id', value });
const minute = 60_000;

test('lets a request wait while the broker was never reached, with a message', () => {
  const { store, choice } = createHarness();
  store.contactFailed('10.0.0.9:9443: ConnectionRefused');
  const made = choice(clientId('x'));
  assert.ok(made.kind === 'pending' && made.message.includes('ConnectionRefused'));
});

test('finds an identity by each selector, ignoring case', () => {
  const { store, chosen } = createHarness();
  store.accept(identities([row('a', { clientID: '', objectID: 'OBJ-A' }), row('b', { clientID: 'Client-B', resourceID: '/Sub/X' })]));
  assert.equal(chosen(clientId('cLIENT-b')), 'b');
  assert.equal(chosen({ name: 'object_id', value: 'obj-a' }), 'a');
  assert.equal(chosen({ name: 'msi_res_id', value: '/sub/x' }), 'b');
});

test('takes no letter outside ASCII for one of an id', async () => {
  const { clock, store, chosen } = createHarness();
  store.accept(identities([row('a'), row('kilo', { clientID: 'kilo' })]));
  await clock.advance(3 * minute);
  assert.equal(chosen(clientId('KILO')), 'kilo');
  assert.equal(chosen(clientId('\u212ailo')), 'refused', 'the Kelvin sign');
});

test('chooses the first identity by default, also while it is pending', () => {
  const { store, choice } = createHarness();
  store.accept(identities([row('b', { state: 'Created' }), row('c')]));
  const made = choice();
  assert.ok(made.kind === 'row' && made.row.name === 'b' && made.row.state === 'Created');
});

test('gives up a foreign default as soon as an own identity is bound', () => {
  const { store, choice } = createHarness();
  const foreign = row('a', { namespace: 'other' });
  const defaultNamespace = () => {
    const made = choice();
    return made.kind === 'row' ? made.row.namespace : made.kind;
  };
  store.accept(identities([foreign]));
  assert.equal(defaultNamespace(), 'other');
  store.accept(identities([row('a', { state: 'Created' }), foreign]));
  assert.equal(defaultNamespace(), 'team', 'while it is pending, too');
});

test('finds exactly the identity of each id among two of one name', () => {
  const { store, choice } = createHarness();
  const own = row('a');
  const foreign = row('a', { namespace: 'other', clientID: 'c', objectID: 'o', resourceID: '/r' });
  store.accept(identities([own, foreign]));
  for (const wanted of [own, foreign])
    for (const selector of [
      clientId(wanted.clientID),
      { name: 'object_id', value: wanted.objectID ?? '' },
      { name: 'msi_res_id', value: wanted.resourceID },
    ] satisfies Selector[]) {
      const made = choice(selector);
      assert.ok(made.kind === 'row' && made.row === wanted, JSON.stringify(selector));
    }
});

test('prefers the row of the own namespace among rows with one id', () => {
  const { store, choice } = createHarness();
  const own = row('a', { state: 'Created' });
  const foreign = row('b', { namespace: 'other', clientID: own.clientID });
  for (const rows of [
    [foreign, own],
    [own, foreign],
  ]) {
    store.accept(identities(rows));
    const made = choice(clientId(own.clientID));
    assert.ok(made.kind === 'row' && made.row === own);
  }
});

test('passes over a foreign row that claims the id of an assigned one', () => {
  const { store, choice } = createHarness();
  const right = row('a', { namespace: 'shared' });
  for (const state of ['Created', 'Failed'] as const) {
    const claim = row('b', { namespace: 'other', clientID: right.clientID, state });
    store.accept(identities([claim, right]));
    const made = choice(clientId(right.clientID));
    assert.ok(made.kind === 'row' && made.row === right, state);
  }
});

test('refuses an unknown id in a settled pod while a foreign identity is pending', async () => {
  const { clock, store, chosen } = createHarness();
  const pending = { state: 'Created', clientID: '' } as const;
  store.accept(identities([row('a')]));
  await clock.advance(3 * minute);
  store.accept(identities([row('a'), row('b', { ...pending, namespace: 'other' })]));
  await clock.advance(minute);
  assert.equal(chosen(clientId('x')), 'refused');
  store.accept(identities([row('a'), row('b', pending)]));
  await clock.advance(minute);
  assert.equal(chosen(clientId('x')), 'pending', 'an own identity may still turn out to be it');
});

test('chooses the default identity of the annotation, also before it is bound', () => {
  const { store, chosen } = createHarness();
  const pod = { name: 'app', namespace: 'team', uid: 'uid-1', defaultIdentity: 'c' };
  store.accept(identities([row('a'), row('c', { namespace: 'other' }), row('c')], { pod }));
  assert.equal(chosen(), 'c');
  assert.equal(store.view?.defaultKey, 'team/c', "the pod's own namespace comes first");
  store.accept(identities([row('a')], { pod }));
  assert.equal(chosen(), 'unbound');
  store.accept(identities([row('a'), row('c', { namespace: 'other' })], { pod: { ...pod, defaultIdentity: 'other/c' } }));
  assert.equal(chosen(), 'c');
});

test('lets a request wait for a first identity until the sidecar is two minutes old', async () => {
  const { clock, store, choice } = createHarness();
  store.accept(identities([]));
  assert.equal(choice().kind, 'pending');
  assert.equal(choice(clientId('x')).kind, 'pending');
  await clock.advance(2 * minute);
  const made = choice();
  assert.ok(made.kind === 'refused');
  assert.match(made.message, /^Identity not found: no identity is bound to pod team\/app\. .*AzureIdentityBinding/);
});

test('lets a request wait for an unknown identity 5 s after the start or a change', async () => {
  const { clock, store, choice } = createHarness();
  store.accept(identities([row('a')]));
  const early = choice(clientId('x'));
  assert.ok(early.kind === 'unbound' && early.until === clock.now() + 5000);
  await clock.advance(3 * minute);
  const late = choice(clientId('x'));
  assert.ok(late.kind === 'refused');
  assert.match(
    late.message,
    /^Identity not found: client_id x is not bound to pod team\/app\. Bound to it: team\/a \(client_id client-of-a, Assigned\)/,
  );
  store.confirm();
  assert.equal(choice(clientId('x')).kind, 'refused', 'a confirmation is no change');
  store.accept(identities([row('a'), row('b')]));
  assert.equal(choice(clientId('x')).kind, 'unbound', 'the rows have just changed');
  await clock.advance(10_000);
  assert.equal(choice(clientId('x')).kind, 'refused');
});

test('lets a request wait for an id that is unknown until the identity is attached', () => {
  const { store, chosen } = createHarness();
  const unattached = row('a', { state: 'Created' });
  delete unattached.objectID;
  store.accept(identities([unattached, row('b')]));
  assert.equal(chosen({ name: 'object_id', value: 'whatever' }), 'pending');
  assert.equal(chosen({ name: 'object_id', value: 'object-of-b' }), 'b');
  assert.equal(chosen(clientId('whatever')), 'unbound', 'the client id of a is known and is another');
});

test('refuses an identity whose assignment failed, with the reason', () => {
  const { store, choice } = createHarness();
  store.accept(identities([row('a', { state: 'Failed', reason: 'the clientID belongs to another resource' })]));
  const made = choice();
  assert.ok(made.kind === 'refused' && /^Identity not found: .*belongs to another resource/.test(made.message));
});

test('refuses every request of a revoked pod until the broker accepts it again', () => {
  const { store, choice } = createHarness();
  store.revoke('pod_gone', 'pod team/app does not exist');
  const made = choice();
  assert.ok(made.kind === 'refused' && /^Identity not found: .*pod_gone: pod team\/app does not exist/.test(made.message));
  store.accept(identities([row('a')]));
  assert.equal(choice().kind, 'row');
});

test('leaves the requests of an excepted pod to IMDS', () => {
  const { store, chosen } = createHarness();
  store.accept(identities([row('a')], { excepted: true }));
  assert.equal(chosen(clientId('x')), 'excepted');
});

/** The text for an id that no bound identity has. */
function messageFor(rows: IdentityRow[], selector: Selector): string {
  const { store, choice, clock } = createHarness();
  store.accept(identities(rows));
  const made = choice(selector, clock.now());
  return 'message' in made ? made.message : made.kind;
}

test('says under which name an id of a bound identity is one', () => {
  const rows = [row('a', { objectID: 'object-of-a' })];
  const messageOf = (name: 'client_id' | 'msi_res_id', value: string) => messageFor(rows, { name, value });
  assert.equal(
    messageOf('client_id', 'OBJECT-of-a'),
    'Identity not found: no identity has the client_id OBJECT-of-a, which is the object_id of team/a: name it as object_id, or use the client_id client-of-a',
  );
  assert.match(messageOf('client_id', row('a').resourceID), /which is the msi_res_id of team\/a/);
  assert.match(messageOf('msi_res_id', 'client-of-a'), /which is the client_id of team\/a/);
  for (const name of ['a', 'A', 'team/a'])
    assert.match(messageOf('client_id', name), /which is a name of team\/a: use the client_id client-of-a$/);
});

test('shows an id with blanks and quotes in it as a JSON string', () => {
  const message = messageFor([row('a')], { name: 'client_id', value: '"x"\t\n y' });
  assert.match(message, /client_id "\\"x\\"\\t\\n y" is not bound to pod team\/app/);
});
