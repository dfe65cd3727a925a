import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readClaims, readStatus } from './status.ts';

const options = { address: '127.0.0.1:2579', timeoutMs: 1000 };

test('returns what the proxy says of itself', async () => {
  const asked: string[] = [];
  const fetch = (url: string, { headers }: { headers: Record<string, string> }) => {
    asked.push(`${url} ${JSON.stringify(headers)}`);
    return Promise.resolve(new Response('{"version":"1"}'));
  };
  assert.equal(await readStatus({ ...options, fetch }), '{"version":"1"}');
  assert.deepEqual(asked, ['http://127.0.0.1:2579/aad-pod-identity/status {"metadata":"true"}']);
});

test('names the proxy that does not answer, or that is too old to tell', async () => {
  await assert.rejects(
    readStatus({ ...options, fetch: () => Promise.reject(new Error('refused')) }),
    /^CommandError: the identity proxy on 127\.0\.0\.1:2579 does not answer: refused$/,
  );
  await assert.rejects(readStatus({ ...options, fetch: () => Promise.resolve(new Response('', { status: 404 })) }), /answers HTTP 404$/);
});

const token = (payload: string) => `eyJ.${Buffer.from(payload).toString('base64url')}.signature`;

test('shows the claims of a token, and never the token', async () => {
  const asked: string[] = [];
  const fetch = (url: string) => {
    asked.push(url);
    return Promise.resolve(Response.json({ access_token: token('{"appid":"a","name":"Zoë"}') }));
  };
  assert.equal(await readClaims({ ...options, fetch }, 'https://vault.azure.net'), '{"appid":"a","name":"Zoë"}');
  assert.match(asked[0] ?? '', /\/metadata\/identity\/oauth2\/token\?api-version=2018-02-01&resource=https%3A%2F%2Fvault\.azure\.net$/);
  const opaque = () => Promise.resolve(Response.json({ access_token: 'opaque' }));
  assert.equal(await readClaims({ ...options, fetch: opaque }, 'r'), '{}');
});

test('shows what the app gets in place of a token', async () => {
  const fetch = () => Promise.resolve(new Response('{"error":"invalid_request"}', { status: 400 }));
  await assert.rejects(readClaims({ ...options, fetch }, 'r'), /^CommandError: HTTP 400: \{"error":"invalid_request"\}$/);
});
