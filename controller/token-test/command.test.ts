import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { it } from 'node:test';

/** Runs the command against a server that answers what `answer` says to each request. */
async function runAgainst(flags: string[], answer: (count: number) => { server: string; body: string }) {
  const asked: { url: string | undefined; metadata: unknown }[] = [];
  const server = createServer((request, response) => {
    asked.push({ url: request.url, metadata: request.headers.metadata });
    const { server: name, body } = answer(asked.length);
    response.writeHead(200, { server: name }).end(body);
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const program = path.resolve(import.meta.dirname, '../main.ts');
  const { port } = server.address() as AddressInfo;
  const args = [program, 'test-token', `--endpoint=http://127.0.0.1:${port}`, ...flags];
  const [code, stdout] = await new Promise<[unknown, string]>((resolve) => {
    execFile(process.execPath, args, (error, text) => resolve([error?.code ?? 0, text]));
  });
  server.close();
  return { code, stdout, asked };
}

it('asks as an app does, prints one line and ends with 1 for a failure', async () => {
  const flags = ['--selector=mine', '--resource=https://vault.azure.net'];
  const { code, stdout, asked } = await runAgainst(flags, () => ({ server: 'IMDS/150', body: '{"access_token":"secret"}' }));
  assert.equal(code, 1);
  assert.match(stdout, /^failed: IMDS\/150 answered at the address of IMDS, not the token proxy.*\n$/);
  const url = '/metadata/identity/oauth2/token?api-version=2018-02-01&resource=https%3A%2F%2Fvault.azure.net';
  assert.deepEqual(asked, [{ url, metadata: 'true' }]);
});

it('asks for the status without a selector until the broker has answered', async () => {
  const { code, stdout, asked } = await runAgainst([], (count) => ({
    server: 'IMDS/aad-pod-identity/0.2.0',
    body: JSON.stringify({ broker: { address: 'b:1', ...(count > 1 ? { answeredSecondsAgo: 0 } : {}) } }),
  }));
  assert.equal(code, 0);
  assert.match(stdout, /^passed: webhook, redirect, token proxy and broker work\. No token/);
  assert.deepEqual(asked, Array(2).fill({ url: '/aad-pod-identity/status', metadata: 'true' }));
});
