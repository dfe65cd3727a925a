import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { it } from 'node:test';

/** Runs the command against a server that is no token proxy. */
it('asks as an app does, prints one line and ends with 1 for a failure', async () => {
  const asked: { url: string | undefined; metadata: unknown }[] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url, metadata: request.headers.metadata });
    response.writeHead(200, { server: 'IMDS/150' }).end('{"access_token":"secret"}');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const program = path.resolve(import.meta.dirname, '../main.ts');
  const { port } = server.address() as AddressInfo;
  const args = [program, 'test-token', `--endpoint=http://127.0.0.1:${port}`, '--resource=https://vault.azure.net'];
  const [code, stdout] = await new Promise<[unknown, string]>((resolve) => {
    execFile(process.execPath, args, (error, text) => resolve([error?.code, text]));
  });
  server.close();
  assert.equal(code, 1);
  assert.match(stdout, /^failed: IMDS\/150 answered at the address of IMDS, not the token proxy.*\n$/);
  const url = '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net';
  assert.deepEqual(asked, [{ url, metadata: 'true' }]);
});
