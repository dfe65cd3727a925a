// Which identity answers, and for how long a request waits before it is told that none does (design 5, identity choice and waiting).
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import { identities, row } from '../testing.ts';
import type { Choice, Selector } from './choose.ts';
import { choose } from './choose.ts';
import { createIdentityStore } from './store.ts';

function setup() {
  const clock = createFakeClock();
  const store = createIdentityStore(clock);
  const ask = (selector?: Selector, arrival = clock.now()): Choice =>
    choose({ store, selector, now: clock.now(), arrival, unknownIdentityMs: 5000 });
  const chosen = (selector?: Selector) => {
    const choice = ask(selector);
    return choice.kind === 'row' ? choice.row.name : choice.kind;
  };
  return { clock, store, ask, chosen };
}
const client = (value: string): Selector => ({ name: 'client_id', value });
const minutes = 60_000;

describe('identity choice', () => {
  it('waits while the broker has never spoken, and says why', () => {
    const { store, ask } = setup();
    store.fail('10.0.0.9:9443: ConnectionRefused');
    const choice = ask(client('x'));
    assert.ok(choice.kind === 'pending' && choice.text.includes('ConnectionRefused'));
  });

  it('finds identities by each selector, ignoring case, and never by an empty value', () => {
    const { store, chosen } = setup();
    store.accept(identities([row('a', { clientID: '', objectID: 'OBJ-A' }), row('b', { clientID: 'Client-B', resourceID: '/Sub/X' })]));
    assert.equal(chosen(client('cLIENT-b')), 'b');
    assert.equal(chosen({ name: 'object_id', value: 'obj-a' }), 'a');
    assert.equal(chosen({ name: 'msi_res_id', value: '/sub/x' }), 'b');
  });

  it('takes the first as default, waits for it, and keeps it while it is bound', () => {
    const { store, chosen, ask } = setup();
    store.accept(identities([row('b', { state: 'Created' }), row('c')]));
    const choice = ask();
    assert.ok(choice.kind === 'row' && choice.row.name === 'b' && choice.row.state === 'Created', 'another one is never substituted');
    store.accept(identities([row('a'), row('b'), row('c')]));
    assert.equal(chosen(), 'b', 'a newcomer before it changes nothing');
    store.accept(identities([row('a'), row('c')]));
    assert.equal(chosen(), 'a', 'unbound');
  });

  it('obeys the annotation, also when that identity is not bound yet', () => {
    const { store, chosen } = setup();
    const pod = { name: 'app', namespace: 'team', uid: 'uid-1', defaultIdentity: 'c' };
    store.accept(identities([row('a'), row('c', { namespace: 'other' }), row('c')], { pod }));
    assert.equal(chosen(), 'c');
    assert.equal(store.view?.defaultKey, 'team/c', "the pod's own namespace first");
    store.accept(identities([row('a')], { pod }));
    assert.equal(chosen(), 'unbound');
    store.accept(identities([row('a'), row('c', { namespace: 'other' })], { pod: { ...pod, defaultIdentity: 'other/c' } }));
    assert.equal(chosen(), 'c');
  });

  it('holds a pod without identities while it is young, then refuses with what to do', () => {
    const { clock, store, ask } = setup();
    store.accept(identities([]));
    assert.equal(ask().kind, 'pending');
    assert.equal(ask(client('x')).kind, 'pending');
    clock.after(0, () => {});
    return clock.advance(2 * minutes).then(() => {
      const choice = ask();
      assert.ok(choice.kind === 'refused');
      assert.match(choice.text, /^Identity not found: no identity is bound to pod team\/app\. .*AzureIdentityBinding/);
    });
  });

  it('gives an unknown identity 5 s while young or just after a change, then nothing', async () => {
    const { clock, store, ask } = setup();
    store.accept(identities([row('a')]));
    const young = ask(client('x'));
    assert.ok(young.kind === 'unbound' && young.until === clock.now() + 5000);
    await clock.advance(3 * minutes);
    const old = ask(client('x'));
    assert.ok(old.kind === 'refused');
    assert.match(
      old.text,
      /^Identity not found: client_id x is not bound to pod team\/app\. Bound to it: team\/a \(client_id client-of-a, Assigned\)/,
    );
    store.confirm();
    assert.equal(ask(client('x')).kind, 'refused', 'a confirmation is no change');
    store.accept(identities([row('a'), row('b')]));
    assert.equal(ask(client('x')).kind, 'unbound', 'the list has just changed');
    await clock.advance(10_000);
    assert.equal(ask(client('x')).kind, 'refused');
  });

  it('waits for ids that Azure tells only at attachment', () => {
    const { store, chosen } = setup();
    const fresh = row('a', { state: 'Created' });
    delete fresh.objectID;
    store.accept(identities([fresh, row('b')]));
    assert.equal(chosen({ name: 'object_id', value: 'whatever' }), 'pending');
    assert.equal(chosen({ name: 'object_id', value: 'object-of-b' }), 'b');
    assert.equal(chosen(client('whatever')), 'unbound', 'its client id is known and is another');
  });

  it('refuses a failed assignment with its reason, and a revoked pod with its code', () => {
    const { store, ask } = setup();
    store.accept(identities([row('a', { state: 'Failed', reason: 'the clientID belongs to another resource' })]));
    const failed = ask();
    assert.ok(failed.kind === 'refused' && /^Identity not found: .*belongs to another resource/.test(failed.text));
    store.revoke('pod_gone', 'pod team/app does not exist');
    const gone = ask();
    assert.ok(gone.kind === 'refused' && /^Identity not found: .*pod_gone: pod team\/app does not exist/.test(gone.text));
    store.accept(identities([row('a')]));
    assert.equal(ask().kind, 'row', 'the broker took it back');
  });

  it('hands an excepted pod over to IMDS', () => {
    const { store, chosen } = setup();
    store.accept(identities([row('a')], { excepted: true }));
    assert.equal(chosen(client('x')), 'excepted');
  });
});
