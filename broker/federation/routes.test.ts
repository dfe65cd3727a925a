import assert from 'node:assert/strict';
import { afterEach, before, beforeEach, describe, it } from 'node:test';
import { boundTo, signToken } from '../testing/fake-api-server.ts';
import type { Fixture, Harness } from '../testing/harness.ts';
import { assertRefused, createFixture, noFederation, startHarness } from '../testing/harness.ts';
import { fakeAssertions, guid, tenant, trust } from './testing/entra.ts';

const controller = { namespace: 'aad', name: 'controller-0', uid: 'uid-c', serviceAccount: 'aad-pod-identity-controller' };
const proof = { tenantId: tenant, clientId: guid, resource: 'https://management.example' };

describe('routes of the controller', () => {
  let fixture: Fixture;
  let harness: Harness;
  const proven: unknown[] = [];
  const actAs = async (caller: typeof controller) => {
    harness.caller.token = await signToken(fixture.tokens, harness.clock.wall(), { kubernetes: boundTo(caller) });
  };
  before(async () => {
    fixture = await createFixture();
  });
  beforeEach(async () => {
    proven.length = 0;
    harness = await startHarness(fixture, {
      home: 'aad',
      federation: {
        assertions: fakeAssertions(),
        prove: async (request) => {
          proven.push(request);
          return { outcome: 'proven' };
        },
      },
    });
  });
  afterEach(() => harness.stop());

  it('name issuer, subject and audience of the broker, and nothing of its token', async () => {
    await actAs(controller);
    const answer = await harness.ask('/v1/federation');
    assert.deepEqual([answer.status, answer.body], [200, trust]);
    assert.equal(answer.headers['cache-control'], 'no-store');
  });

  it('prove a credential', async () => {
    await actAs(controller);
    const answer = await harness.ask('/v1/federation/proof', { body: proof });
    assert.deepEqual([answer.status, answer.body], [200, { outcome: 'proven' }]);
    assert.deepEqual(proven, [proof]);
    assertRefused(await harness.ask('/v1/federation/proof', { body: { ...proof, clientId: 'x' } }), 400, 'bad_request');
  });

  it('refuse every other caller, before they look at the body', async () => {
    for (const caller of [
      { ...controller, namespace: 'team' },
      { ...controller, serviceAccount: 'aad-pod-identity-broker' },
      { ...controller, serviceAccount: 'default' },
      { namespace: 'team', name: 'app-0', uid: 'uid-1', serviceAccount: 'default' },
    ]) {
      await actAs(caller);
      assertRefused(await harness.ask('/v1/federation'), 403, 'forbidden');
      assertRefused(await harness.ask('/v1/federation/proof', { body: proof }), 403, 'forbidden');
    }
    harness.caller.token = await signToken(fixture.tokens, harness.clock.wall(), { audience: 'other', kubernetes: boundTo(controller) });
    assertRefused(await harness.ask('/v1/federation'), 401, 'unauthenticated');
    assert.deepEqual(proven, []);
  });

  it('are all that the controller gets', async () => {
    await actAs(controller);
    harness.informers.set('aad/controller-0', { uid: 'uid-c', excepted: false, identities: [] });
    assertRefused(await harness.ask('/v1/identities'), 403, 'forbidden');
    assertRefused(await harness.ask('/v1/token', { body: { identity: 'team/id', resource: 'r' } }), 403, 'forbidden');
    assertRefused(
      await harness.ask('/v1/report', { body: { identity: 'team/id', reason: 'identity_not_found', requestId: 'x' } }),
      403,
      'forbidden',
    );
  });

  it('answer 503 while the broker has no token for Entra', async () => {
    await harness.stop();
    harness = await startHarness(fixture, { home: 'aad', federation: noFederation });
    await actAs(controller);
    assertRefused(await harness.ask('/v1/federation'), 503, 'not_ready');
  });
});
