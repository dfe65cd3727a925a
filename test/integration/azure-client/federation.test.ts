// What the client does to the federated credentials of an identity, as Azure sees it, and what it reports of Azure's errors.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { FederatedTrust } from '../../../controller/azure/arm/federated-credentials.ts';
import { federationErrorOf } from '../../../controller/azure/arm/testing/federation-error.ts';
import { app, identityIds, idOf, tenant } from '../azure/fixtures.ts';
import { connected, quickAzure, requests } from './harness.ts';

const writer = idOf('writer');
const trust = { issuer: 'https://issuer.example/', subject: 'system:serviceaccount:a:b', audiences: ['api://AzureADTokenExchange'] };
const named = (name: string, subject = name) => ({ name, ...trust, subject });

const withCredentials = (federated: object[], changes: Record<string, unknown> = {}, arm: Record<string, unknown> = {}) =>
  quickAzure(arm, { identities: [{ ...identityIds.reader }, { ...identityIds.writer, federated }], ...changes });

describe('federated credentials of an identity', () => {
  test('are listed over all pages, with the ids of their identity', async (t) => {
    const { federatedCredentials } = await connected(
      t,
      withCredentials([named('one'), named('two'), named('three')], {}, { credentialPageSize: 2 }),
    );
    assert.deepEqual(await federatedCredentials.list(writer), [named('one'), named('two'), named('three')]);
    const { clientId, principalId } = identityIds.writer;
    assert.deepEqual(await federatedCredentials.getIdentity(writer), { clientId, principalId, tenantId: tenant });
  });

  test('are created once and removed', async (t) => {
    const { federatedCredentials, emulator, logged } = await connected(t, withCredentials([]));
    await federatedCredentials.put(writer, 'aad-pod-identity-1', trust);
    assert.deepEqual(await federatedCredentials.list(writer.toUpperCase()), [named('aad-pod-identity-1', trust.subject)]);
    assert.equal(
      (await federationErrorOf(federatedCredentials.remove(writer, 'aad-pod-identity-1'))).code,
      'throttled',
      'a write too soon',
    );
    assert.deepEqual(requests(emulator, 'DELETE'), []);
    assert.ok(logged.some((line) => line.includes('"method":"PUT"') && line.includes('"status":201')));
  });

  test('are removed also when they or their identity are gone', async (t) => {
    const { federatedCredentials, emulator } = await connected(t, withCredentials([named('one')]));
    await federatedCredentials.remove(writer, 'one');
    await federatedCredentials.remove(idOf('reader'), 'none');
    await federatedCredentials.remove(idOf('nobody'), 'none');
    const answered = requests(emulator, 'DELETE').map(({ status }) => status);
    assert.deepEqual(answered, [200, 204, 404]);
    assert.deepEqual(await federatedCredentials.list(writer), []);
  });

  test('are read with a new token after Azure refuses the old one', async (t) => {
    const { federatedCredentials, emulator } = await connected(t, withCredentials([named('one')]));
    await federatedCredentials.list(writer);
    emulator.addFault({ fault: 'unauthorized' });
    assert.equal((await federatedCredentials.list(writer)).length, 1);
    const bearers = requests(emulator, 'GET').map(({ headers }) => headers.authorization);
    assert.equal(new Set(bearers).size, 2);
  });
});

describe('a refusal of a federated credential', () => {
  const full = Array.from({ length: 20 }, (_, index) => named(`name-${index}`));
  const right = (verb: string) => `Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials/${verb}`;
  const readOnly = [{ principal: app.clientId, actions: [right('read'), 'Microsoft.ManagedIdentity/userAssignedIdentities/read'] }];
  const table: [
    code: string,
    state: Record<string, unknown>,
    fault?: Record<string, unknown> | undefined,
    changed?: Partial<FederatedTrust>,
  ][] = [
    ['limitReached', withCredentials(full)],
    ['combinationExists', withCredentials([named('another', trust.subject)])],
    ['regionUnsupported', withCredentials([], {}, { regionsWithoutFederation: ['westeurope'] })],
    ['missingRole', withCredentials([], { roles: readOnly })],
    ['denyAssignment', withCredentials([], { denyAssignments: [{ scope: writer, actions: [right('write')] }] })],
    ['concurrentWrite', withCredentials([]), { fault: 'concurrent-credentials' }],
    ['scopeLocked', withCredentials([]), { fault: 'scope-locked' }],
    ['subscriptionDisabled', withCredentials([]), { fault: 'subscription-disabled' }],
    ['policyDenied', withCredentials([]), { fault: 'policy-denied' }],
    ['throttled', withCredentials([]), { fault: 'throttled', retryAfter: 7 }],
    ['unauthorized', withCredentials([]), { fault: 'unauthorized', count: 2 }],
    ['transient', withCredentials([]), { fault: 'answer', service: 'arm', status: 503 }],
    ['transient', withCredentials([]), { fault: 'reset', service: 'arm' }],
    ['signInFailed', withCredentials([]), { fault: 'entra-error', aadsts: 7000222 }],
    ['refused', withCredentials([]), undefined, { subject: 'x'.repeat(601) }],
  ];
  for (const [code, state, fault, changed] of table)
    test(`is ${code} where Azure answers ${fault === undefined ? 'by its state' : String(fault.fault)}`, async (t) => {
      const { federatedCredentials, emulator } = await connected(t, state);
      if (fault !== undefined) emulator.addFault(fault);
      const error = await federationErrorOf(federatedCredentials.put(writer, 'mine', { ...trust, ...changed }));
      assert.equal(error.code, code, error.message);
      if (code === 'missingRole') assert.equal(error.action, right('write'));
      if (code === 'throttled') assert.equal(error.retryAfterSeconds, 7);
    });

  test('is identityNotFound where the identity does not exist', async (t) => {
    const { federatedCredentials } = await connected(t, withCredentials([]));
    for (const asked of [
      federatedCredentials.getIdentity(idOf('nobody')),
      federatedCredentials.list(idOf('nobody')),
      federatedCredentials.put(idOf('nobody'), 'mine', trust),
    ])
      assert.equal((await federationErrorOf(asked)).code, 'identityNotFound');
  });
});
