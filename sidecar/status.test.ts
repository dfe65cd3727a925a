import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readStatus } from './status.ts';

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
