import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BrokerUnavailableError } from './proof-client.ts';
import { credentialOf, day, foreignCredential, harness, identityId, needOf, ownName, refused, trust } from './testing/harness.ts';

const unknown = { outcome: 'failed', aadsts: 700213, message: 'AADSTS700213: no match', retryable: true } as const;
const web = needOf('web');

describe('the reconciler of federated identities', () => {
  it('makes a credential, has it proven, and assigns the object with its ids', async () => {
    const { azure, broker, record, reconcile, statuses, annotation, events } = harness([web]);
    await reconcile();
    assert.deepEqual(azure.calls(), ['read', 'list', `put ${ownName}`]);
    assert.deepEqual(azure.list.get(ownName), credentialOf(ownName));
    assert.equal(broker.proved, 1);
    assert.deepEqual(statuses(), ['Assigned']);
    const written = ['scope', 'client-id', 'object-id'].map((name) => annotation(web, name)?.toLowerCase());
    assert.deepEqual(written, [identityId, 'client', 'object']);
    assert.equal(record.get()?.credential?.owned, true);
    assert.ok(events.some(({ reason, kind }) => reason === 'Federated' && kind === 'Pod'));
  });

  it('warns that a pod without a token proxy gets no tokens', async () => {
    const host = { ...web, pod: { ...web.pod, injected: false } };
    const { reconcile, events } = harness([host]);
    await reconcile();
    const event = events.find(({ reason }) => reason === 'Federated');
    assert.equal(event?.type, 'Warning');
    assert.match(event.message, /this pod has no token proxy, so only a node endpoint can give it tokens/);
  });

  it('assigns further pods without a call to Azure or to Entra', async () => {
    const { azure, broker, objects, live, reconcile, statuses } = harness([web]);
    await reconcile();
    azure.calls();
    const next = needOf('next');
    live.push(next);
    objects.add(next);
    await reconcile();
    assert.deepEqual(statuses(), ['Assigned', 'Assigned']);
    assert.deepEqual([azure.calls(), broker.proved], [[], 1]);
  });

  it('keeps the object Created until Entra takes the new credential', async () => {
    const { azure, broker, clock, reconcile, statuses, annotation } = harness([web]);
    broker.proofs.push(unknown, unknown);
    const { requeueAfterMs } = await reconcile();
    assert.deepEqual(statuses(), ['Created Federating']);
    assert.match(annotation(web, 'message') ?? '', /does not accept the federated credential yet: AADSTS700213/);
    await clock.advance(requeueAfterMs ?? 0);
    const again = await reconcile();
    await clock.advance(again.requeueAfterMs ?? 0);
    await reconcile();
    assert.deepEqual(statuses(), ['Assigned']);
    assert.equal(azure.calls().filter((call) => call.startsWith('put')).length, 1);
  });

  it('uses a credential that somebody made and never deletes it', async () => {
    const { azure, live, clock, reconcile, record } = harness([web]);
    azure.add(credentialOf('by-hand'));
    await reconcile();
    live.length = 0;
    await reconcile();
    await clock.advance(day);
    assert.deepEqual(await reconcile(), { done: true });
    assert.deepEqual(azure.names(), ['by-hand']);
    assert.equal(record.get(), undefined);
  });

  it('deletes its credential once nobody has needed it for the delay, and no other', async () => {
    const { azure, live, clock, reconcile, record } = harness([web]);
    azure.add(foreignCredential('ci'));
    await reconcile();
    live.length = 0;
    assert.deepEqual(await reconcile(), { requeueAfterMs: day });
    await clock.advance(day - 1);
    assert.deepEqual(await reconcile(), { requeueAfterMs: 1 });
    assert.deepEqual(azure.names(), [ownName, 'ci']);
    await clock.advance(1);
    assert.deepEqual(await reconcile(), { done: true });
    assert.deepEqual(azure.names(), ['ci']);
    assert.equal(record.get(), undefined);
  });

  it('keeps the credential when a pod needs it again within the delay', async () => {
    const { azure, live, clock, reconcile, record } = harness([web]);
    await reconcile();
    live.length = 0;
    await reconcile();
    await clock.advance(day / 2);
    live.push(web);
    await reconcile();
    assert.equal(record.get()?.unusedSince, undefined);
    assert.deepEqual(azure.names(), [ownName]);
  });

  it('keeps a credential of its name to which somebody gave another subject', async () => {
    const { azure, live, clock, reconcile } = harness([web]);
    await reconcile();
    azure.add(credentialOf(ownName, { subject: 'other' }));
    live.length = 0;
    await reconcile();
    await clock.advance(day);
    assert.deepEqual(await reconcile(), { done: true });
    assert.deepEqual(azure.names(), [ownName]);
  });

  it('names all twenty credentials, those of our pattern and the command at the limit', async () => {
    const { azure, reconcile, statuses, annotation, record } = harness([web]);
    azure.add(credentialOf('aad-pod-identity-0123456789', { subject: 'other' }));
    azure.add(...Array.from({ length: 19 }, (_, i) => foreignCredential(`ci-${i}`)));
    await reconcile();
    assert.deepEqual(statuses(), ['Created FederatedCredentialLimit']);
    const message = annotation(web, 'message') ?? '';
    assert.match(message, /aad-pod-identity-0123456789 \(perhaps left over from another cluster\)/);
    assert.match(
      message,
      /az identity federated-credential delete --name <name> --identity-name green --resource-group g --subscription s/,
    );
    for (let i = 0; i < 19; i += 1) assert.ok(message.includes(`ci-${i}`));
    assert.deepEqual([azure.list.size, record.get()], [20, undefined]);
  });

  it('tells the command for a missing credential where credentials are not managed', async () => {
    const { azure, reconcile, statuses, annotation } = harness([web], { manageCredentials: false });
    await reconcile();
    assert.deepEqual(statuses(), ['Created FederatedCredentialMissing']);
    assert.ok(
      annotation(web, 'message')?.includes(
        `az identity federated-credential create --name ${ownName} --identity-name green --resource-group g --subscription s ` +
          `--issuer '${trust.issuer}' --subject '${trust.subject}' --audiences '${trust.audience}'`,
      ),
    );
    assert.deepEqual(azure.calls(), ['read', 'list']);
  });

  it('says MissingRole and tries again when the AzureIdentity changes', async () => {
    const { azure, reconcile, statuses, live, annotation, objects } = harness([web]);
    azure.failures.push({ put: refused('missingRole') });
    await reconcile();
    assert.deepEqual(statuses(), ['Created MissingRole']);
    assert.ok(annotation(web, 'retry-at') !== undefined);
    await reconcile();
    assert.deepEqual(statuses(), ['Created MissingRole']);
    const { identity, binding } = web.match;
    const object = { ...identity.object, metadata: { ...identity.object.metadata, resourceVersion: '2' } };
    const changed = { ...web, match: { binding, identity: { ...identity, object } } };
    live.splice(0, 1, changed);
    assert.ok(objects.assignmentOf(changed));
    await reconcile();
    assert.deepEqual(statuses(), ['Assigned']);
  });

  it('refuses an issuer that Entra cannot reach without a call to Azure', async () => {
    const { azure, broker, reconcile, statuses } = harness([web]);
    broker.trust.issuer = 'https://kubernetes.default.svc.cluster.local';
    await reconcile();
    assert.deepEqual(statuses(), ['Created IssuerNotPublic']);
    assert.deepEqual(azure.calls(), []);
  });

  it('waits for the broker', async () => {
    const { broker, clock, reconcile, statuses } = harness([web]);
    broker.fails = new BrokerUnavailableError('the broker does not answer');
    const { requeueAfterMs } = await reconcile();
    assert.deepEqual(statuses(), ['Created BrokerUnavailable']);
    broker.fails = undefined;
    await clock.advance(requeueAfterMs ?? 0);
    await reconcile();
    assert.deepEqual(statuses(), ['Assigned']);
  });

  it('assigns pods of a proven identity while the broker does not answer', async () => {
    const { broker, objects, live, reconcile, statuses } = harness([web]);
    await reconcile();
    broker.fails = new BrokerUnavailableError('the broker does not answer');
    const next = needOf('next');
    live.push(next);
    objects.add(next);
    await reconcile();
    assert.deepEqual(statuses(), ['Assigned', 'Assigned']);
  });

  it('makes a credential anew that somebody deleted, at the first report', async () => {
    const { azure, clock, reconcile, refresh, statuses } = harness([web]);
    await reconcile();
    azure.list.clear();
    azure.calls();
    await clock.advance(60_000);
    await reconcile();
    assert.deepEqual(azure.calls(), []);
    refresh();
    await reconcile();
    assert.deepEqual(azure.names(), [ownName]);
    assert.deepEqual(statuses(), ['Assigned']);
  });

  it('makes a record anew that somebody deleted', async () => {
    const { record, reconcile, azure } = harness([web]);
    await reconcile();
    record.set(undefined);
    await reconcile();
    assert.ok(record.get()?.provenAt !== undefined);
    assert.deepEqual(azure.names(), [ownName]);
  });

  it('spaces the comparisons that reports ask for', async () => {
    const { azure, clock, reconcile, refresh } = harness([web]);
    await reconcile();
    await clock.advance(60_000);
    refresh();
    await reconcile();
    azure.calls();
    refresh();
    assert.deepEqual(await reconcile(), { requeueAfterMs: 10_000 });
    assert.deepEqual(azure.calls(), []);
    await clock.advance(10_000);
    await reconcile();
    assert.deepEqual(azure.calls(), ['read', 'list']);
  });

  it('takes an object back whose credential is gone and cannot be made', async () => {
    const { azure, clock, reconcile, refresh, statuses, record } = harness([web]);
    await reconcile();
    azure.list.clear();
    azure.failures.push({ put: Object.assign(refused('missingRole'), { status: 403 }) });
    await clock.advance(60_000);
    refresh();
    await reconcile();
    assert.deepEqual(statuses(), ['Created MissingRole']);
    assert.deepEqual([record.get()?.credential, record.get()?.provenAt], [undefined, undefined]);
  });

  it('gives objects the new ids of an identity that was deleted and made again', async () => {
    const { azure, clock, reconcile, refresh, annotation, broker } = harness([web]);
    await reconcile();
    azure.list.clear();
    azure.ids = { clientId: 'new', tenantId: 'tenant', principalId: 'other' };
    await clock.advance(60_000);
    refresh();
    await reconcile();
    assert.deepEqual([annotation(web, 'client-id'), annotation(web, 'object-id')], ['new', 'other']);
    assert.deepEqual([azure.names(), broker.proved], [[ownName], 2]);
  });

  it('trusts a new issuer, and drops the old credential after the delay', async () => {
    const { azure, broker, clock, reconcile, statuses } = harness([web]);
    await reconcile();
    broker.trust.issuer = 'https://issuer.example.com/new/';
    await clock.advance(1_000);
    await reconcile();
    assert.deepEqual(statuses(), ['Assigned']);
    assert.deepEqual([azure.list.size, broker.proved], [2, 2]);
    await clock.advance(day);
    await reconcile();
    assert.deepEqual(
      [...azure.list.values()].map(({ issuer }) => issuer),
      ['https://issuer.example.com/new/'],
    );
  });

  it('refuses an object whose clientID is not that of the resource', async () => {
    const wrong = { ...web, match: { ...web.match, identity: { ...web.match.identity, clientID: 'other' } } };
    const { reconcile, statuses } = harness([wrong]);
    await reconcile();
    assert.deepEqual(statuses(), ['Created ClientIDMismatch']);
  });

  it('leaves an object that is to be attached to its scope', async () => {
    const kept = { ...web, keepOnly: true } as const;
    const { azure, reconcile, statuses } = harness([kept]);
    await reconcile();
    assert.deepEqual([statuses(), azure.calls()], [['Created'], []]);
  });

  it('writes nothing to Azure when its term is about to end', async () => {
    const { azure, record, reconcile, statuses } = harness([web], { mayWrite: () => false });
    assert.deepEqual(await reconcile(), { requeueAfterMs: 500 });
    assert.deepEqual([azure.names(), record.get(), statuses()], [[], undefined, ['Created']]);
  });

  it('makes no credential when its term ends while the record is saved', async () => {
    const terms = [true, false];
    const { azure, record, reconcile } = harness([web], { mayWrite: () => terms.shift() ?? true });
    assert.deepEqual(await reconcile(), { requeueAfterMs: 500 });
    assert.deepEqual([azure.names(), record.get()?.credential?.name], [[], ownName]);
    await reconcile();
    assert.deepEqual(azure.names(), [ownName]);
  });

  it('deletes no credential when its term ends while the list is read', async () => {
    const terms: boolean[] = [];
    const { azure, live, clock, reconcile } = harness([web], { mayWrite: () => terms.shift() ?? true });
    await reconcile();
    live.length = 0;
    await reconcile();
    await clock.advance(day);
    terms.push(true, false);
    assert.deepEqual(await reconcile(), { requeueAfterMs: 500 });
    assert.deepEqual(azure.names(), [ownName]);
    assert.deepEqual(await reconcile(), { done: true });
    assert.deepEqual(azure.names(), []);
  });

  it('asks Azure for another namespace beside one with many bad identities', async () => {
    const { azure, record, live, clock, reconcile, statuses, turns } = harness([web]);
    const reconcileBad = (index: number) => {
      azure.failures.splice(0, 1, { read: refused('identityNotFound') });
      return reconcile(`${identityId}-bad${index}`);
    };
    for (let index = 0; index < 100; index += 1) await reconcileBad(index);
    azure.calls();
    for (let index = 100; index < 200; index += 1) await reconcileBad(index);
    assert.deepEqual(azure.calls(), []);
    azure.failures.length = 0;
    const { identity } = web.match;
    live.splice(0, 1, { ...web, match: { ...web.match, identity: { ...identity, namespace: 'other' } } });
    await reconcile();
    await clock.advance(1_000);
    assert.ok(turns.includes(identityId));
    await reconcile();
    assert.deepEqual([azure.calls(), statuses()], [['read', 'list', `put ${ownName}`], ['Assigned']]);
    live.splice(0, 1, web);
    record.set(undefined);
    await clock.advance(15_000);
    assert.ok(turns.includes(`${identityId}-bad199`));
    await reconcileBad(199);
    assert.deepEqual(azure.calls(), ['read', 'list']);
  });

  it('tells the object of a long wait for its turn', async () => {
    const { azure, reconcile, statuses, annotation } = harness([web]);
    for (let index = 0; index < 100; index += 1) {
      azure.failures.splice(0, 1, { read: new Error('broken off') });
      await reconcile(`${identityId}-bad${index}`).catch(() => undefined);
    }
    azure.failures.length = 0;
    for (let index = 0; index < 50; index += 1) await reconcile(`${identityId}-more${index}`);
    assert.deepEqual(statuses(), ['Created Federating']);
    assert.match(annotation(web, 'message') ?? '', /each waits for its turn/);
  });

  it('ends with one credential of its own wherever the leader is killed', async () => {
    for (let saves = 0; saves < 4; saves += 1) {
      const { azure, record, reconcile, restart, statuses, live, clock } = harness([web]);
      record.dieAfter(saves);
      await reconcile().catch(() => undefined);
      restart();
      await reconcile();
      assert.deepEqual([azure.names(), statuses()], [[ownName], ['Assigned']], `killed after ${saves} saves`);
      assert.equal(record.get()?.credential?.owned, true);
      live.length = 0;
      await reconcile();
      await clock.advance(day);
      record.dieAfter(saves);
      await reconcile().catch(() => undefined);
      restart();
      assert.deepEqual(await reconcile(), { done: true });
      assert.deepEqual([azure.names(), record.get()], [[], undefined]);
    }
  });

  it('owns what the write of a killed leader brings after a conflict with it', async () => {
    const { azure, record, reconcile, restart, clock } = harness([web]);
    azure.failures.push({ put: new Error('killed') });
    await reconcile().catch(() => undefined);
    restart();
    azure.failures.push({ put: Object.assign(refused('concurrentWrite'), { status: 409 }) });
    const { requeueAfterMs } = await reconcile();
    azure.add(credentialOf(ownName));
    await clock.advance(requeueAfterMs ?? 0);
    await reconcile();
    assert.equal(record.get()?.credential?.owned, true);
  });

  it('counts on nothing that it is about to delete', async () => {
    const { record, live, clock, reconcile, restart, azure } = harness([web]);
    await reconcile();
    live.length = 0;
    await reconcile();
    await clock.advance(day);
    azure.failures.push({ remove: refused('transient') });
    await reconcile();
    assert.equal(record.get()?.provenAt, undefined);
    restart();
    live.push(web);
    await reconcile();
    assert.ok(record.get()?.provenAt !== undefined);
  });
});
