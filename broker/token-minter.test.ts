import assert from 'node:assert/strict';
import { beforeEach, describe, it } from 'node:test';
import type { INetworkModule, NetworkResponse } from '@azure/msal-node';
import type { AzureIdentity } from '../api/kinds.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { KubeError } from '../lib/kube/errors.ts';
import { silentLogger } from '../lib/log.ts';
import { createTokenMinter } from './token-minter.ts';

const guid = 'cccccccc-0000-4000-8000-000000000001';
const resource = 'https://vault.example/';

describe('token minter', () => {
  let now: number;
  let identity: AzureIdentity | undefined;
  let secret: unknown;
  let reads: string[];
  let sent: URLSearchParams[];
  let urls: string[];
  let replies: { status: number; body: object }[];
  let events: string[];
  let notes: string[];
  let mintAny: ReturnType<typeof createTokenMinter>;
  const mint = async (name: string, wanted: string) => {
    const answer = await mintAny(name, wanted);
    assert.ok(!Array.isArray(answer), 'one token, no list');
    return answer;
  };

  const granted = (token: string) => ({
    status: 200,
    body: { token_type: 'Bearer', expires_in: 3600, ext_expires_in: 3600, access_token: token },
  });
  const failure = (status: number, error_description: string) => ({ status, body: { error: 'invalid_client', error_description } });
  const secretWith = (data: Record<string, string>, resourceVersion = '1') => ({
    metadata: { uid: 'u', resourceVersion },
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
  });

  beforeEach(() => {
    now = Date.now();
    identity = {
      metadata: { namespace: 'team', name: 'sp', uid: 'i' },
      spec: { type: 1, clientID: guid, tenantID: guid, clientPassword: { name: 'pw' } },
    };
    secret = secretWith({ clientSecret: 'hunter2' });
    urls = [];
    [reads, sent, replies, events, notes] = [[], [], [granted('one'), granted('two')], [], []];
    const client: KubeClient = {
      async call(_method, path) {
        reads.push(path);
        if (secret instanceof Error) throw secret;
        return secret;
      },
      watch: () => assert.fail('nothing is watched'),
      close: async () => undefined,
    };
    const network: INetworkModule = {
      sendGetRequestAsync: (url) => assert.fail(`${url} was asked`),
      async sendPostRequestAsync<T>(url: string, options?: { body?: string }): Promise<NetworkResponse<T>> {
        urls.push(url);
        sent.push(new URLSearchParams(options?.body));
        const reply = replies.shift();
        if (reply === undefined) throw new Error('no network');
        return { status: reply.status, headers: {}, body: reply.body as T };
      },
    };
    mintAny = createTokenMinter({
      client,
      log: silentLogger,
      events: {
        record(regarding, type, reason, note) {
          events.push(`${type} ${reason} ${regarding.kind} ${regarding.namespace}/${regarding.name}`);
          notes.push(note);
        },
      },
      identityOf: (key) => (key === 'team/sp' ? identity : undefined),
      rules: { authority: 'https://login.test', knownHosts: [], allowCrossNamespaceSecrets: false, isAllowed: () => true },
      network,
      clock: { wall: () => now, now: () => now, after: () => assert.fail('no timer') },
    });
  });

  it('answers in the shape of IMDS, and keeps the slash of the resource', async () => {
    const answer = await mint('team/sp', resource);
    const expiresOn = Number(answer.expires_on);
    assert.ok(Math.abs(expiresOn - now / 1000 - 3600) < 5);
    assert.deepEqual(
      { ...answer, expires_on: '', expires_in: '', ext_expires_in: '', not_before: '' },
      {
        access_token: 'one',
        client_id: guid,
        expires_in: '',
        expires_on: '',
        ext_expires_in: '',
        not_before: '',
        resource,
        token_type: 'Bearer',
      },
    );
    assert.equal(sent[0]?.get('scope'), 'https://vault.example//.default');
    assert.equal(sent[0]?.get('client_secret'), 'hunter2');
    assert.deepEqual(reads, ['/api/v1/namespaces/team/secrets/pw']);
  });

  it('sends one request for many callers, and serves its token for a while', async () => {
    const first = await Promise.all(Array.from({ length: 50 }, () => mint('team/sp', resource)));
    assert.equal(new Set(first.map((answer) => answer.access_token)).size, 1);
    now += 600_000;
    const later = await mint('team/sp', resource);
    assert.equal(later.access_token, 'one');
    assert.ok(Math.abs(Number(later.expires_in) - 3000) < 5);
    assert.equal(sent.length, 1);
    now += 600_000;
    assert.equal((await mint('team/sp', resource)).access_token, 'two');
  });

  it('requests another token for another resource, Secret or identity', async () => {
    replies = [granted('a'), granted('b'), granted('c'), granted('d')];
    assert.equal((await mint('team/sp', resource)).access_token, 'a');
    assert.equal((await mint('team/sp', 'https://other')).access_token, 'b');
    secret = secretWith({ clientSecret: 'rotated' }, '2');
    assert.equal((await mint('team/sp', resource)).access_token, 'c');
    identity = { ...identity, metadata: { namespace: 'team', name: 'sp' }, spec: { ...identity?.spec, tenantID: 'contoso.example' } };
    assert.equal((await mint('team/sp', resource)).access_token, 'd');
  });

  it('caches an error of Entra for 10 s, without the secret in its text', async () => {
    replies = [failure(401, 'AADSTS7000215: Invalid client secret hunter2.'), granted('one')];
    const failing = { code: 'token_failed', status: 400, message: /AADSTS7000215: Invalid client secret \*\*\*/ };
    await assert.rejects(mint('team/sp', resource), failing);
    await assert.rejects(mint('team/sp', resource), failing);
    assert.equal(sent.length, 1);
    secret = secretWith({ clientSecret: 'right' }, '2');
    assert.equal((await mint('team/sp', resource)).access_token, 'one', 'a corrected Secret takes effect at once');
  });

  it('answers with the client id that signed in when the identity changes in between', async () => {
    const other = 'cccccccc-0000-4000-8000-000000000002';
    replies = [granted('old'), granted('new')];
    const first = mint('team/sp', resource);
    identity = { ...identity, metadata: { namespace: 'team', name: 'sp' }, spec: { ...identity?.spec, clientID: other } };
    const second = mint('team/sp', resource);
    assert.deepEqual(
      (await Promise.all([first, second])).map((answer) => [answer.access_token, answer.client_id]),
      [
        ['old', guid],
        ['new', other],
      ],
    );
  });

  it('returns a token for each auxiliary tenant, the own tenant first, cached each', async () => {
    identity = { metadata: { namespace: 'team', name: 'sp' }, spec: { ...identity?.spec, auxiliaryTenantIDs: ['b.example', 'c.example'] } };
    replies = [granted('own'), granted('b'), granted('c')];
    const tokens = async () => {
      const answer = await mintAny('team/sp', resource);
      assert.ok(Array.isArray(answer));
      return answer.map((each) => each.access_token);
    };
    assert.deepEqual(await tokens(), ['own', 'b', 'c']);
    assert.deepEqual(
      urls.map((url) => new URL(url).pathname.split('/')[1]),
      [guid, 'b.example', 'c.example'],
    );
    assert.deepEqual(await tokens(), ['own', 'b', 'c']);
    assert.equal(sent.length, 3);
  });

  it('returns no token when one tenant refuses, and keeps those of the others cached', async () => {
    identity = { metadata: { namespace: 'team', name: 'sp' }, spec: { ...identity?.spec, auxiliaryTenantIDs: ['b.example'] } };
    replies = [granted('own'), failure(400, 'AADSTS700016: not found in the directory'), granted('b')];
    await assert.rejects(mintAny('team/sp', resource), { code: 'token_failed', status: 400, message: /AADSTS700016/ });
    now += 10_001;
    const answer = await mintAny('team/sp', resource);
    assert.deepEqual(Array.isArray(answer) && answer.map((each) => each.access_token), ['own', 'b']);
    assert.equal(sent.length, 3);
  });

  it('answers 503 when Entra throttles, fails or cannot be reached', async () => {
    for (const reply of [failure(429, 'AADSTS90055'), failure(503, 'AADSTS90033'), undefined]) {
      replies = reply === undefined ? [] : [reply];
      await assert.rejects(mint('team/sp', resource), { code: 'token_failed', status: 503 });
      now += 10_001;
    }
    replies = [granted('one')];
    assert.equal((await mint('team/sp', resource)).access_token, 'one');
  });

  it('answers 503 for an unusable Secret, and quotes nothing of it', async () => {
    const cases: [unknown, RegExp][] = [
      [new KubeError(404, 'NotFound', 'x'), /^Secret team\/pw does not exist$/],
      [new KubeError(403, 'Forbidden', 'user "hunter2" cannot'), /^Secret team\/pw cannot be read$/],
      [secretWith({}), /must have a key clientSecret/],
      [secretWith({ a: 'hunter2', b: 'x' }), /must have a key clientSecret, or one key only$/],
      [secretWith({ clientSecret: '\n' }), /has nothing under clientSecret$/],
    ];
    for (const [value, message] of cases) {
      secret = value;
      await assert.rejects(mint('team/sp', resource), { code: 'token_failed', status: 503, message });
    }
    identity = { metadata: { namespace: 'team', name: 'sp' }, spec: { ...identity?.spec, type: 2 } };
    secret = secretWith({ password: 'x' });
    await assert.rejects(mint('team/sp', resource), { status: 503, message: /must have a key certificate/ });
    secret = secretWith({ certificate: 'junk' });
    await assert.rejects(mint('team/sp', resource), { status: 503, message: /neither PEM nor a PKCS#12/ });
    assert.equal(sent.length, 0);
  });

  it('takes a single key of any name, and drops a newline after the secret', async () => {
    secret = secretWith({ anything: 'hunter2\n' });
    await mint('team/sp', resource);
    assert.equal(sent[0]?.get('client_secret'), 'hunter2');
  });

  it('records an Event with the values to set where the Secret may not be read', async () => {
    secret = new KubeError(403, 'Forbidden', 'no');
    await assert.rejects(mint('team/sp', resource));
    assert.deepEqual(events, ['Warning SecretForbidden AzureIdentity team/sp']);
    assert.match(notes[0] ?? '', /Secret team\/pw: add namespace team to the value rbac\.secretNamespaces .* rbac\.allowAccessToSecrets/);
  });

  it('records an Event on an invalid AzureIdentity, and reads no Secret for it', async () => {
    identity = {
      metadata: { namespace: 'team', name: 'sp' },
      spec: { ...identity?.spec, clientPassword: { name: 'pw', namespace: 'kube-system' } },
    };
    await assert.rejects(mint('team/sp', resource), { code: 'token_failed', status: 400 });
    assert.deepEqual(events, ['Warning CrossNamespaceSecret AzureIdentity team/sp']);
    assert.deepEqual(reads, []);
    await assert.rejects(mint('team/gone', resource), { code: 'not_found' });
  });
});
