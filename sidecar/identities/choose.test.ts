import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { identities, row } from '../testing/fixtures.ts';
import type { Choice } from './choose.ts';
import { choose } from './choose.ts';
import type { Selector } from './selector.ts';
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

test('chooses the first identity by default, also while it is pending', () => {
  const { store, choice } = createHarness();
  store.accept(identities([row('b', { state: 'Created' }), row('c')]));
  const made = choice();
  assert.ok(made.kind === 'row' && made.row.name === 'b' && made.row.state === 'Created');
});

test('keeps the default identity while it is bound', () => {
  const { store, chosen } = createHarness();
  store.accept(identities([row('b'), row('c')]));
  store.accept(identities([row('a'), row('b'), row('c')]));
  assert.equal(chosen(), 'b', 'a new identity before it changes nothing');
  store.accept(identities([row('a'), row('c')]));
  assert.equal(chosen(), 'a', 'b is unbound');
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
