import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Token } from '../tokens/token.ts';
import { tokenResponse } from './responses.ts';
import type { TokenRoute } from './routes.ts';

const route: TokenRoute = { kind: 'token', protocol: 'imds', resource: 'r', selector: undefined, xmsCc: undefined, bypass: false };
const token: Token = { accessToken: 'one', expiresOn: 1_000, notBefore: 0, tokenType: 'Bearer' };

async function fieldsOf(given: Token, clientId: string, wallMs: number): Promise<unknown[]> {
  const body = (await tokenResponse(given, route, clientId, wallMs).json()) as Record<string, string>;
  return [body.access_token, body.client_id, body.expires_in];
}

test('writes a body anew for another second, token or client id of the same route', async () => {
  assert.deepEqual(await fieldsOf(token, 'c', 500_000), ['one', 'c', '500']);
  assert.deepEqual(await fieldsOf(token, 'c', 500_999), ['one', 'c', '500']);
  assert.deepEqual(await fieldsOf(token, 'c', 501_000), ['one', 'c', '499']);
  assert.deepEqual(await fieldsOf({ ...token, accessToken: 'two' }, 'c', 501_000), ['two', 'c', '499']);
  assert.deepEqual(await fieldsOf(token, 'd', 501_000), ['one', 'd', '499']);
});
