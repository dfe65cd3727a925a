import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import pino from 'pino';
import type { IdentityRow } from '../../api/broker.ts';
import type { AzureIdentitySpec } from '../../api/kinds.ts';
import type { FakeClock } from '../../common/testing/fake-clock.ts';
import { createFakeClock } from '../../common/testing/fake-clock.ts';
import type { FederationRecord } from '../../lib/identities/federation/record.ts';
import { federationRecordName } from '../../lib/identities/federation/record.ts';
import type { ListedRecord } from '../../lib/identities/federation/records.ts';
import { indexFederationRecords } from '../../lib/identities/federation/records.ts';
import { identityOf } from '../../lib/identities/identity.ts';
import type { FakeInformer } from '../../lib/identities/testing/informers.ts';
import { fakeInformer } from '../../lib/identities/testing/informers.ts';
import { BrokerError } from '../error.ts';
import type { TokenCall } from '../token-call.ts';
import type { MintFederated } from './minter.ts';
import { createFederatedMinter } from './minter.ts';
import { authority, fakeAssertions, fakeEntra, granted, guid, record, refused, resourceID, tenant } from './testing/entra.ts';

const row: IdentityRow = {
  name: 'i',
  namespace: 'team',
  binding: 'team/b',
  type: 0,
  source: 'broker',
  clientID: guid,
  resourceID,
  state: 'Assigned',
};
const pod = { namespace: 'team', name: 'app-0', uid: 'uid-1' };
const caller = { ...pod, serviceAccount: 'app' };
const hour = 3_600_000;
const vault = 'https://vault.example';

describe('federated minter', () => {
  let clock: FakeClock;
  let entra: ReturnType<typeof fakeEntra>;
  let assertions: ReturnType<typeof fakeAssertions>;
  let records: FakeInformer<ListedRecord>;
  let spec: AzureIdentitySpec;
  let isAllowed: boolean;
  let managed: boolean;
  let events: string[];
  let results: unknown[];
  let given: string[];
  let reported: string[];
  let lines: Record<string, unknown>[];
  let admitted: number;
  let minter: MintFederated;

  const put = (changes: Partial<FederationRecord> = {}) => {
    const value = record(changes);
    records.put(`aad/${federationRecordName(value.identity)}`, value);
  };
  const mint = (changes: Partial<TokenCall> = {}) => {
    const resource = changes.resource ?? vault;
    const admit = async () => {
      admitted += 1;
    };
    return minter({ pod, caller, row, resource, scope: `${resource}/.default`, capabilities: [], refresh: false, admit, ...changes });
  };
  /** With its timers, and what they set off. */
  const settled = async <T>(pending: Promise<T>): Promise<T> => {
    pending.catch(() => undefined);
    for (let n = 0; n < 40; n += 1) await clock.advance(500);
    return pending;
  };
  const tokenOf = async (changes?: Partial<TokenCall>) => (await mint(changes)).access_token;

  beforeEach(() => {
    clock = createFakeClock(Date.now());
    entra = fakeEntra();
    assertions = fakeAssertions();
    records = fakeInformer();
    [isAllowed, managed, admitted] = [true, false, 0];
    [events, results, given, reported, lines] = [[], [], [], [], []];
    spec = { type: 0, resourceID };
    minter = createFederatedMinter({
      log: pino({}, { write: (line: string) => lines.push(JSON.parse(line) as Record<string, unknown>) }),
      events: { record: (regarding, type, reason) => events.push(`${type} ${reason} ${regarding.namespace}/${regarding.name}`) },
      identityOf(key) {
        if (key === 'team/i') return identityOf({ metadata: { namespace: 'team', name: 'i' }, spec });
        if (key !== 'other/app') return undefined;
        return identityOf({ metadata: { namespace: 'other', name: 'app' }, spec: { type: 3, clientID: guid, tenantID: tenant } });
      },
      rules: {
        authority,
        get managed() {
          return managed;
        },
        records: indexFederationRecords(records),
        isAllowed: () => isAllowed,
        isAllowedAsClaimed: () => isAllowed,
      },
      assertions,
      network: entra.network,
      clock,
      random: () => 0.5,
      metrics: { countExchange: (result) => results.push(result), countToken: (source) => given.push(source) },
      onUnknown: (podKey, identity) => reported.push(`${podKey} ${identity}`),
    });
    put();
  });

  it('answers in the shape of IMDS, as the client and tenant of the record', async () => {
    entra.state.replies = [granted('one')];
    spec = { ...spec, clientID: 'forged', tenantID: 'forged' };
    const answer = await mint({ resource: 'https://vault.example/', scope: 'https://vault.example//.default' });
    assert.deepEqual(
      { ...answer, expires_on: '', expires_in: '', ext_expires_in: '', not_before: '' },
      {
        access_token: 'one',
        client_id: guid,
        expires_in: '',
        expires_on: '',
        ext_expires_in: '',
        not_before: '',
        resource: 'https://vault.example/',
        token_type: 'Bearer',
      },
    );
    for (const value of Object.values(answer)) assert.equal(typeof value, 'string');
    assert.ok(Math.abs(Number(answer.expires_in) - 86_400) <= 5);
    assert.equal(new URL(entra.sent[0]?.url ?? '').pathname, `/${tenant}/oauth2/v2.0/token`);
    assert.equal(entra.sent[0]?.form.get('client_id'), guid);
    assert.equal(entra.sent[0]?.form.get('client_assertion'), 'assertion-0');
  });

  it('writes a line for each token that a pod gets, without token and assertion', async () => {
    entra.state.replies = [granted('secret-token')];
    await mint();
    await mint({ pod: { ...pod, name: 'app-1' }, caller: { ...caller, namespace: 'aad', serviceAccount: 'node' } });
    const audited = lines.filter(({ msg }) => msg === 'federated token issued');
    const common = { namespace: 'team', identity: 'team/i', resource: vault, clientId: guid, tenantId: tenant };
    for (const [index, expected] of [
      { pod: 'app-0', serviceAccount: 'team/app', source: 'entra' },
      { pod: 'app-1', serviceAccount: 'aad/node', source: 'cache' },
    ].entries()) {
      const line = audited[index] ?? {};
      for (const [key, value] of Object.entries({ ...common, ...expected, requestId: 'request-of-secret-token' }))
        assert.equal(line[key], value, key);
    }
    assert.equal(audited.length, 2);
    assert.doesNotMatch(JSON.stringify(lines), /"secret-token|assertion-0/);
    assert.deepEqual(given, ['entra', 'cache']);
    assert.deepEqual(results, ['token']);
  });

  it('asks Entra once for many pods, resources and capabilities apart', async () => {
    entra.state.replies = [granted('one'), granted('two'), granted('three')];
    const pods = Array.from({ length: 50 }, (_, n) => ({ ...pod, name: `app-${n}`, uid: `uid-${n}` }));
    const tokens = await Promise.all(pods.map((each) => tokenOf({ pod: each })));
    assert.deepEqual([new Set(tokens).size, entra.sent.length, admitted], [1, 1, 1]);
    assert.equal(await tokenOf({ resource: 'https://other.example' }), 'two');
    assert.equal(await tokenOf({ capabilities: ['cp1'] }), 'three');
    assert.equal(await tokenOf(), 'one');
    assert.equal(entra.sent.length, 3);
  });

  it('shares tokens between AzureIdentities of one Azure identity', async () => {
    entra.state.replies = [granted('one')];
    await mint();
    records.put('x', record({ clientId: guid.toUpperCase() }));
    assert.equal(await tokenOf(), 'one');
  });

  it('authorises the pod before it reads the cache', async () => {
    entra.state.replies = [granted('one')];
    await mint();
    await assert.rejects(mint({ row: { ...row, state: 'Created', reason: 'waits' } }), {
      code: 'not_ready',
      status: 503,
      message: /waits/,
    });
    await assert.rejects(mint({ row: { ...row, state: 'Failed', reason: 'no' } }), { code: 'token_failed', status: 400 });
    isAllowed = false;
    await assert.rejects(mint(), { reason: 'IdentityNotAllowed', status: 400 });
    isAllowed = true;
    put({ provenAt: undefined });
    await assert.rejects(mint(), { code: 'not_ready', status: 503 });
    await assert.rejects(mint({ row: { ...row, name: 'gone' } }), { code: 'not_found' });
    assert.deepEqual(events, ['Warning IdentityNotAllowed team/i']);
    assert.equal(entra.sent.length, 1);
  });

  it('serves a pod whose row has moved to IMDS, until the record goes', async () => {
    entra.state.replies = [granted('one')];
    assert.equal(await tokenOf({ row: { ...row, source: 'imds' } }), 'one');
    records.remove(`aad/${federationRecordName(resourceID)}`);
    await assert.rejects(mint({ row: { ...row, source: 'imds' } }), { code: 'not_ready' });
  });

  it('sends the assertion to the Entra of the settings only', async () => {
    entra.state.fallback = granted('one');
    for (const adEndpoint of [
      'https://evil.example',
      'https://login.test.evil.example',
      'http://login.test',
      'https://u@login.test',
      `${authority}/x`,
    ]) {
      spec = { ...spec, adEndpoint };
      await assert.rejects(mint(), {
        reason: 'InvalidFederatedIdentity',
        status: 400,
        message: /adEndpoint must be absent or https:\/\/login\.test/,
      });
    }
    assert.equal(entra.sent.length, 0);
    spec = { ...spec, adEndpoint: `${authority}/` };
    await mint();
    assert.deepEqual(new Set(events), new Set(['Warning InvalidFederatedIdentity team/i']));
    assert.deepEqual([...new Set(entra.sent.map(({ url }) => new URL(url).origin))], [authority]);
  });

  it('takes client and tenant of type 3 from its spec, after the policy', async () => {
    entra.state.fallback = granted('one');
    const app: IdentityRow = { ...row, type: 3, resourceID: '' };
    spec = { type: 3, clientID: ` ${guid}`, tenantID: 'contoso.example' };
    await mint({ row: app });
    assert.equal(new URL(entra.sent[0]?.url ?? '').pathname, '/contoso.example/oauth2/v2.0/token');
    isAllowed = false;
    await assert.rejects(mint({ row: app }), { reason: 'IdentityNotAllowed', status: 400 });
    isAllowed = true;
    for (const wrong of [{ clientID: 'app' }, { clientID: `${guid}/x` }, { tenantID: 'common' }, { tenantID: '../x' }, { tenantID: '' }]) {
      spec = { type: 3, clientID: guid, tenantID: tenant, ...wrong };
      await assert.rejects(mint({ row: app }), { reason: 'InvalidFederatedIdentity', status: 400 });
    }
    assert.equal(entra.sent.length, 1);
  });

  it('takes client and tenant from the spec in managed mode, after the policy', async () => {
    managed = true;
    spec = { ...spec, clientID: guid.replace('1', '2'), tenantID: tenant };
    entra.state.replies = [granted('one')];
    assert.equal((await mint()).client_id, guid.replace('1', '2'));
    spec = { ...spec, tenantID: '' };
    await assert.rejects(mint(), { reason: 'InvalidFederatedIdentity', message: /tenantID/ });
  });

  it('refreshes after half of the life, while the pod gets the token that is there', async () => {
    entra.state.replies = [granted('one'), granted('two')];
    await mint();
    await clock.advance(11.9 * hour);
    assert.equal(await tokenOf(), 'one');
    assert.equal(entra.sent.length, 1);
    await clock.advance(0.2 * hour);
    assert.equal(await tokenOf(), 'one', 'the pod does not wait');
    await clock.advance(0);
    assert.equal(entra.sent.length, 2);
    assert.equal(await tokenOf(), 'two');
  });

  it('serves the cached token while Entra is down for hours', async () => {
    entra.state.replies = [granted('one')];
    await mint();
    for (let hours = 0; hours < 23; hours += 1) {
      await clock.advance(hour);
      assert.equal(await tokenOf(), 'one', `after ${hours + 1} h`);
    }
    assert.ok(entra.sent.length > 2, 'it tries again');
    await clock.advance(2 * hour);
    await assert.rejects(settled(mint()), { code: 'token_failed', status: 503 });
  });

  it('asks Entra for a refresh once in 30 s, and falls back to the cached token', async () => {
    entra.state.replies = [granted('one'), granted('two')];
    await mint();
    assert.equal(await tokenOf({ refresh: true }), 'two');
    for (let n = 0; n < 5; n += 1) assert.equal(await tokenOf({ refresh: true }), 'two');
    assert.equal(entra.sent.length, 2);
    await clock.advance(30_000);
    entra.state.replies = [refused(500011)];
    assert.equal(await tokenOf({ refresh: true }), 'two');
    assert.equal(entra.sent.length, 3);
  });

  for (const code of [70021, 700211, 700212, 700213, 700016]) {
    it(`tries again within the request while a credential is new: ${code}`, async () => {
      put({ credential: { name: 'c', owned: true, createdAt: new Date(clock.wall() - 60_000).toISOString() } });
      entra.state.replies = [refused(code), refused(code), granted('one')];
      assert.equal((await settled(mint())).access_token, 'one');
      assert.deepEqual(results, [code, code, 'token']);
      assert.deepEqual(reported, []);
    });
  }

  it('answers 503 before the sidecar gives up while a new credential is not known', async () => {
    put({ credential: { name: 'c', owned: false, createdAt: new Date(clock.wall() - 9 * 60_000).toISOString() } });
    entra.state.fallback = refused(700213);
    const began = clock.now();
    const failed = mint().catch((error: BrokerError) => ({ error, after: clock.now() - began }));
    const outcome = await settled(failed);
    assert.ok('error' in outcome);
    assert.deepEqual([outcome.error.status, outcome.error.retryAfterSeconds], [503, 2]);
    assert.match(outcome.error.message, /Entra takes some minutes to know it/);
    assert.ok(outcome.after <= 15_000);
    assert.deepEqual(reported, []);
  });

  it('answers 503 while a new identity is not known', async () => {
    put({ credential: { name: 'c', owned: true, createdAt: new Date(clock.wall()).toISOString() } });
    entra.state.fallback = refused(700016);
    await assert.rejects(settled(mint()), { status: 503, message: /AADSTS700016/ });
    assert.deepEqual(reported, []);
  });

  it('names issuer, subject, audience and command where a credential is missing', async () => {
    put({ credential: { name: 'c', owned: false, createdAt: new Date(clock.wall() - 11 * 60_000).toISOString() } });
    entra.state.replies = [refused(700213)];
    await assert.rejects(mint(), (error: BrokerError) => {
      assert.deepEqual([error.status, error.entraError], [400, 'invalid_request']);
      assert.match(error.message, /AADSTS700213/);
      assert.match(
        error.message,
        /az identity federated-credential create .*--identity-name i --resource-group g --subscription s --issuer 'https:\/\/oidc\.example\/' --subject 'system:serviceaccount:aad:aad-pod-identity-broker' --audiences 'api:\/\/AzureADTokenExchange'/,
      );
      return true;
    });
    assert.deepEqual(reported, ['team/app-0 team/i']);
    assert.equal(entra.sent.length, 1);
  });

  it('answers 503 and reports where a credential of the controller is gone', async () => {
    entra.state.replies = [refused(700213)];
    await assert.rejects(mint(), { status: 503, message: /reported to the controller, which makes the credential anew/ });
    assert.deepEqual(reported, ['team/app-0 team/i']);
  });

  it('reports an identity whose client id Entra does not know any more', async () => {
    entra.state.replies = [refused(700016)];
    await assert.rejects(mint(), { status: 400, message: /AADSTS700016/ });
    assert.deepEqual(reported, ['team/app-0 team/i']);
  });

  it('names the command for an application where type 3 is not trusted', async () => {
    spec = { type: 3, clientID: guid, tenantID: tenant };
    entra.state.replies = [refused(700213)];
    await assert.rejects(mint({ row: { ...row, type: 3 } }), {
      status: 400,
      message: /az ad app federated-credential create --id cccccccc/,
    });
  });

  for (const [code, status, retryAfter] of [
    [7002138, 400, undefined],
    [700016, 400, undefined],
    [90002, 400, undefined],
    [500011, 400, undefined],
    [7000112, 400, undefined],
    [53003, 400, undefined],
    [1002012, 400, undefined],
    [70011, 400, undefined],
    [90061, 503, 20],
    [700024, 503, 10],
    [50196, 503, 20],
    [90033, 503, 5],
    [90055, 503, 5],
  ] as const) {
    it(`answers ${status} to AADSTS${code}, with its text, and asks again after 20 s at most`, async () => {
      entra.state.fallback = refused(code);
      await assert.rejects(settled(mint()), { status, retryAfterSeconds: retryAfter, message: new RegExp(`AADSTS${code}`) });
      const sent = entra.sent.length;
      assert.equal(sent, code === 700024 ? 2 : 1);
      entra.state.fallback = granted('one');
      await clock.advance(20_000);
      assert.equal(await tokenOf(), 'one');
    });
  }

  it('answers an error that identities of two namespaces share with the ids of each', async () => {
    put({ credential: { name: 'c', owned: false, createdAt: new Date(clock.wall() - 11 * 60_000).toISOString() } });
    entra.state.replies = [refused(700213)];
    const another = { row: { ...row, namespace: 'other', name: 'app', type: 3 } } as const;
    const [own, together] = await Promise.allSettled([mint(), mint(another)]);
    assert.match(String(own.status === 'rejected' && own.reason), /AzureIdentity team\/i, .*--identity-name i /);
    for (const result of [together, ...(await Promise.allSettled([mint(another)]))]) {
      const text = String(result.status === 'rejected' && result.reason);
      assert.match(text, /AzureIdentity other\/app, .*az ad app federated-credential create/);
      assert.doesNotMatch(text, /team\/i|--identity-name i /);
    }
    assert.equal(entra.sent.length, 1);
  });

  it('remembers an error for 10 s, for all pods', async () => {
    entra.state.fallback = refused(500011);
    await assert.rejects(mint(), { status: 400 });
    await clock.advance(9_900);
    await assert.rejects(mint({ pod: { ...pod, uid: 'uid-2' } }), { status: 400 });
    assert.equal(entra.sent.length, 1);
    await clock.advance(200);
    await assert.rejects(mint(), { status: 400 });
    assert.equal(entra.sent.length, 2);
  });

  it('reads the assertion again once where Entra calls it too old', async () => {
    entra.state.replies = [refused(700024), granted('one')];
    assert.equal(await tokenOf(), 'one');
    assert.equal(assertions.rereads, 1);
    assert.deepEqual(
      entra.sent.map(({ form }) => form.get('client_assertion')),
      ['assertion-0', 'assertion-1'],
    );
  });

  it('asks nothing of a tenant that Entra throttles, for as long as it says', async () => {
    entra.state.replies = [granted('one'), refused(90055, 429, { 'retry-after': '60' })];
    await mint();
    await assert.rejects(mint({ resource: 'https://other.example' }), { status: 503, retryAfterSeconds: 60 });
    await assert.rejects(mint({ resource: 'https://third.example' }), { status: 503, message: /pause of tenant/ });
    assert.equal(entra.sent.length, 2);
    assert.equal(await tokenOf(), 'one', 'a cached token is served');
    await clock.advance(60_001);
    entra.state.replies = [granted('two')];
    assert.equal(await tokenOf({ resource: 'https://third.example' }), 'two');
  });

  it('pauses for one client alone where that client loops', async () => {
    entra.state.replies = [refused(50196), granted('of-other')];
    await assert.rejects(mint(), { status: 503 });
    await assert.rejects(mint({ resource: 'https://other.example' }), { status: 503, message: /pause/ });
    put({ clientId: guid.replace('1', '2') });
    assert.equal(await tokenOf(), 'of-other');
  });

  it('answers 503 in time where Entra does not answer', async () => {
    entra.state.held = new Promise(() => undefined);
    const pending = mint();
    pending.catch(() => undefined);
    await clock.advance(12_000);
    await assert.rejects(pending, { code: 'not_ready', status: 503, message: /did not answer/ });
  });

  it('takes a turn for a call to Entra, and none for a token of the cache', async () => {
    entra.state.replies = [granted('one')];
    await mint();
    const admit = () => Promise.reject(new BrokerError('throttled', 'too many'));
    assert.equal(await tokenOf({ admit }), 'one');
    await assert.rejects(mint({ admit, resource: 'https://other.example' }), { code: 'throttled' });
    assert.equal(entra.sent.length, 1);
  });

  it('exchanges in the first turn of a namespace whose pods want the token', async () => {
    entra.state.replies = [granted('one'), granted('two')];
    const never = () => new Promise<void>(() => undefined);
    const other = { ...pod, namespace: 'quiet' };
    const waiting = [mint({ admit: never }), mint({ admit: never })];
    assert.equal(await tokenOf({ pod: other }), 'one');
    assert.deepEqual(await Promise.all(waiting.map(async (each) => (await each).access_token)), ['one', 'one']);

    const resource = 'https://other.example';
    const refusal = () => Promise.reject(new BrokerError('throttled', 'too many'));
    const refused = mint({ resource, admit: refusal });
    const admitted = Promise.withResolvers<void>();
    const token = tokenOf({ resource, pod: other, admit: () => admitted.promise });
    await clock.advance(1);
    admitted.resolve();
    assert.deepEqual([await token, (await refused).access_token, entra.sent.length], ['two', 'two', 2]);
  });

  it('takes one turn of each namespace for a token', async () => {
    entra.state.replies = [granted('one')];
    const pods = Array.from({ length: 20 }, (_, n) => ({ ...pod, namespace: n % 2 === 0 ? 'team' : 'other', name: `app-${n}` }));
    await Promise.all(pods.map((each) => tokenOf({ pod: each })));
    assert.deepEqual([admitted, entra.sent.length], [2, 1]);
  });

  it('asks Entra again for an identity that was made anew with another client id', async () => {
    entra.state.replies = [granted('one'), granted('two')];
    await mint();
    put({ clientId: guid.replace('1', '2') });
    const answer = await mint();
    assert.deepEqual([answer.access_token, answer.client_id], ['two', guid.replace('1', '2')]);
  });
});
