// Azure behind an HTTP proxy: the pipeline of the SDK and the client of MSAL reach it by HTTPS_PROXY, and trust the CAs of --azure-ca-file through it.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { test } from 'node:test';
import { identityIds, idOf, tenant } from '../azure/fixtures.ts';
import { connected, quickAzure } from './harness.ts';

test('reaches Entra and ARM through a proxy, with the CAs of --azure-ca-file', async (t) => {
  const tunnels: string[] = [];
  const proxy = createServer().on('connect', ({ url = '' }, near) => {
    tunnels.push(url);
    const { hostname, port } = new URL(`http://${url}`);
    const far = connect(Number(port), hostname, () => near.write('HTTP/1.1 200 Connection Established\r\n\r\n'));
    far.on('error', () => near.destroy());
    near.on('error', () => far.destroy());
    far.pipe(near).pipe(far);
  });
  await once(proxy.listen(0, '127.0.0.1'), 'listening');
  t.after(() => proxy.close());
  process.env.HTTPS_PROXY = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`;
  process.env.NO_PROXY = '';

  const { emulator, federatedCredentials } = await connected(t, quickAzure({}, { identities: Object.values(identityIds) }));
  const { clientId, principalId } = identityIds.writer;
  assert.deepEqual(await federatedCredentials.getIdentity(idOf('writer')), { clientId, principalId, tenantId: tenant });
  assert.deepEqual(new Set(tunnels), new Set([emulator.urls.entra, emulator.urls.arm].map((url) => new URL(url).host)));
});
