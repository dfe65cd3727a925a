import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import type { HostTokenRequest, IdentityRow } from '../api/broker.ts';
import { systemClock } from '../common/clock.ts';
import type { Pod } from '../lib/identities/pod.ts';
import { pod as cachedPod } from '../lib/identities/testing/fixtures.ts';
import type { NodeEndpointRules } from './host-token.ts';
import type { BrokerServerOptions } from './server.ts';
import { boundTo, signToken } from './testing/fake-api-server.ts';
import type { Fixture, Harness } from './testing/harness.ts';
import { assertRefused, createFixture, row, startHarness, token } from './testing/harness.ts';
import type { TokenCall } from './token-call.ts';

const endpoint = { namespace: 'home', name: 'node-x', uid: 'node-x-uid', serviceAccount: 'aad-pod-identity-node', node: 'n1' };
const endpointPath = '/api/v1/namespaces/home/pods/node-x';
const assigned: IdentityRow = { ...row, state: 'Assigned' };
const app = cachedPod({ namespace: 'team', name: 'app-0', uid: 'uid-1', key: 'team/app-0', volumeDrivers: ['azure/kv'] });

describe('the route of the node endpoint', () => {
  let fixture: Fixture;
  let harness: Harness;
  let pods: Map<string, Pod>;
  let excepted: boolean;

  const rules = (): NodeEndpointRules => ({
    drivers: ['azure/kv'],
    podOf: (key) => {
      const pod = pods.get(key);
      return pod === undefined ? undefined : { pod, excepted };
    },
  });
  const start = async (more: Partial<BrokerServerOptions> = {}) => {
    harness = await startHarness(fixture, { nodeEndpoint: rules(), mintToken: async () => token, ...more });
    harness.api.state.pods.set(endpointPath, podOf('n1'));
    harness.caller.token = await tokenOf();
  };
  const restart = async (more: Partial<BrokerServerOptions>) => {
    await harness.stop();
    await start(more);
  };
  const podOf = (nodeName: string, uid = endpoint.uid, serviceAccountName = endpoint.serviceAccount) => ({
    metadata: { uid },
    spec: { nodeName, serviceAccountName },
  });
  const tokenOf = (parts: object = {}) => {
    const at = harness.clock.wall();
    return signToken(fixture.tokens, at, { kubernetes: boundTo({ ...endpoint, ...parts }) });
  };
  const give = (...identities: IdentityRow[]) => harness.informers.set('team/app-0', { uid: 'uid-1', excepted: false, identities });
  const ask = (parts: Partial<HostTokenRequest> = {}) =>
    harness.ask('/v1/host-token', { body: { namespace: 'team', pod: 'app-0', resource: 'https://vault.azure.net', ...parts } });

  before(async () => {
    fixture = await createFixture();
  });
  beforeEach(async () => {
    pods = new Map([['team/app-0', app]]);
    excepted = false;
    await start();
  });
  afterEach(() => harness.stop());

  it('answers with the row of an identity from IMDS, and mints no token for it', async () => {
    await restart({ mintToken: () => assert.fail('nothing is minted') });
    give(assigned);
    const answer = await ask();
    assert.equal(answer.status, 200);
    assert.deepEqual(answer.body, { identity: assigned });
    assert.equal(answer.headers['cache-control'], 'no-store');
  });

  it('mints the token of any other identity, of auxiliary tenants the first', async () => {
    const minted: unknown[] = [];
    const mintToken = async ({ pod, caller, row, resource }: TokenCall) => {
      minted.push([pod.name, caller.serviceAccount, row.name, resource]);
      return minted.length === 1 ? token : [token, { ...token, access_token: 'auxiliary' }];
    };
    await restart({ mintToken });
    // A service principal, and an identity that is federated.
    for (const identity of [
      { ...assigned, name: 'sp', type: 1, source: 'broker', resourceID: '' },
      { ...assigned, name: 'sp', source: 'broker' },
    ] as const) {
      give(identity);
      assert.deepEqual((await ask({ resource: 'r' })).body, { identity, token });
    }
    assert.deepEqual(minted, [
      ['app-0', 'aad-pod-identity-node', 'sp', 'r'],
      ['app-0', 'aad-pod-identity-node', 'sp', 'r'],
    ]);
  });

  it('hands on what the node endpoint counted, and nothing of other callers', async () => {
    await ask({ counts: 'token:2' });
    assert.deepEqual(harness.counted, ['node_endpoint token:2']);
    harness.caller.token = await tokenOf({ serviceAccount: 'app', namespace: 'team' });
    await ask({ counts: 'token:2' });
    assert.equal(harness.counted.length, 1);
  });

  it('holds a request until its identity is assigned', async () => {
    give(row);
    const held = ask({ wait: 45 });
    await harness.untilHeld(1);
    give(assigned);
    assert.deepEqual((await held).body, { identity: assigned });
  });

  it('ends a request that is not assigned in time with 503', async () => {
    give(row);
    const answer = await ask();
    assertRefused(answer, 503, 'not_ready');
    assert.equal(answer.headers['retry-after'], '5');
    assert.match(answer.body.error.message, /AzureIdentity team\/id .* is pending/);
  });

  it('waits a moment for a pod or binding that is on its way', async () => {
    pods.clear();
    const held = ask({ wait: 45 });
    await harness.untilHeld(1);
    pods.set('team/app-0', app);
    give();
    give(assigned);
    assert.equal((await held).status, 200);
  });

  it('refuses a pod of another node, one without such a volume, and an excepted one', async () => {
    give(assigned);
    pods.set('team/app-0', { ...app, node: 'n2' });
    assertRefused(await ask(), 404, 'not_found');
    pods.set('team/app-0', { ...app, volumeDrivers: [] });
    assertRefused(await ask({ wait: 45 }), 404, 'not_found');
    pods.set('team/app-0', app);
    excepted = true;
    assertRefused(await ask({ wait: 45 }), 404, 'not_found');
  });

  it('takes the node from the API server where the token has none, once a minute', async () => {
    give(assigned);
    harness.caller.token = await tokenOf({ node: undefined });
    assert.equal((await ask()).status, 200);
    assert.equal((await ask()).status, 200);
    assert.equal(harness.api.count(endpointPath), 1);
    harness.time.ahead += 61_000;
    harness.api.state.pods.set(endpointPath, podOf('n2'));
    assertRefused(await ask(), 404, 'not_found');
  });

  it('refuses a token whose node, pod or account is not that of the live pod', async () => {
    give(assigned);
    for (const live of [podOf('n2'), podOf(''), podOf('n1', 'other'), podOf('n1', endpoint.uid, 'default'), undefined]) {
      if (live === undefined) harness.api.state.pods.delete(endpointPath);
      else harness.api.state.pods.set(endpointPath, live);
      assertRefused(await ask(), 403, 'forbidden');
    }
    harness.api.state.failing.add(endpointPath);
    assertRefused(await ask(), 503, 'not_ready');
  });

  it('refuses every other account, and its own account on the other routes', async () => {
    give(assigned);
    for (const path of ['/v1/identities', '/v1/token', '/v1/report'])
      assertRefused(await harness.ask(path, path === '/v1/identities' ? {} : { body: { identity: 'team/id' } }), 403, 'forbidden');
    for (const parts of [{ serviceAccount: 'default' }, { namespace: 'team' }]) {
      harness.caller.token = await tokenOf(parts);
      assertRefused(await ask(), 403, 'forbidden');
    }
    assert.equal(harness.api.count(endpointPath), 0, 'nobody else makes the broker call the API server');
  });

  it('does not exist without a node endpoint', async () => {
    await restart({ nodeEndpoint: { ...rules(), drivers: [] } });
    give(assigned);
    assertRefused(await ask(), 404, 'not_found');
  });

  it('refuses a malformed request', async () => {
    give(assigned);
    const selector = { name: 'client_id', value: '' } as const;
    for (const parts of [{ namespace: '' }, { pod: 'x'.repeat(254) }, { resource: '' }, { wait: 121 }, { wait: -1 }, { selector }])
      assertRefused(await ask(parts), 400, 'bad_request');
    assertRefused(await harness.ask('/v1/host-token', { body: [] }), 400, 'bad_request');
  });

  it('limits the requests of one node', async () => {
    // Time stands, so nothing is refilled on a slow machine.
    await restart({ clock: { ...systemClock, now: () => 0 } });
    give(assigned);
    for (let count = 0; count < 250; count += 1) assert.equal((await ask()).status, 200);
    assertRefused(await ask(), 429, 'throttled');
  });

  it('answers held requests when the broker stops', async () => {
    give(row);
    const held = ask({ wait: 45 });
    await harness.untilHeld(1);
    await harness.broker.stop();
    assertRefused(await held, 503, 'not_ready');
  });
});
