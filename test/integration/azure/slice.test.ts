// The main path through Microsoft's client libraries: sign in with MSAL, attach an identity with arm-compute, get its token from IMDS.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { app, armAudience, clientIds, idOf, pool1, smallAzure, subscription, tenant } from './fixtures.ts';
import { emulate } from './harness.ts';
import { claimsOf, imds, tokenOf } from './requests.ts';
import { runClient } from './run-client.ts';

test('signs in by MSAL, attaches by arm-compute, then gives the token by IMDS', async (context) => {
  const state = smallAzure({ settings: { propagationMs: 60_000, arm: { operationMs: 100 } } });
  const emulator = await emulate(context, { state, running: true });
  const { ca, urls } = emulator;
  const signedIn = await runClient(
    { client: 'msal-secret', authority: urls.entra, tenant, clientId: app.clientId, secret: app.secret, resource: armAudience },
    { ca },
  );
  assert.equal(signedIn.error, null);
  const token = String(signedIn.result.token);
  assert.equal(claimsOf(token).appid, app.clientId);

  const patch = {
    client: 'arm-compute',
    arm: urls.arm,
    token,
    subscription,
    group: 'nodes',
    name: 'pool1',
    kind: 'scaleSet',
    type: 'UserAssigned',
  } as const;
  const attached = await runClient({ ...patch, ids: { [idOf('writer')]: {} } }, { ca });
  assert.deepEqual(attached, { result: { ids: [idOf('reader'), idOf('writer')], type: 'UserAssigned', state: 'Succeeded' }, error: null });

  const early = await imds(urls.imds, { client_id: clientIds.writer });
  assert.deepEqual([early.status, early.json.error_description], [400, 'Identity not found']);
  emulator.clock.advance(60_000);
  const claims = claimsOf(tokenOf(await imds(urls.imds, { client_id: clientIds.writer })));
  assert.deepEqual([claims.appid, claims.aud, claims.xms_mirid], [clientIds.writer, armAudience, idOf('writer')]);

  const detached = await runClient({ ...patch, ids: { [idOf('writer')]: null } }, { ca });
  assert.deepEqual(detached.result.ids, [idOf('reader')]);
  const log = emulator.log.list().flatMap((entry) => (entry.kind === 'request' && entry.method === 'PATCH' ? [entry.path] : []));
  assert.deepEqual(
    log.map((path) => path.toLowerCase()),
    [pool1.toLowerCase(), pool1.toLowerCase()],
  );
});
