// Responses as NMI gives them (docs/reference/aad-pod-identity.md#the-endpoint-for-hosts).
import type { Token } from '../tokens/token.ts';
import { secondsLeft } from '../tokens/token.ts';

/** `retryAfter`: seconds. */
export function textResponse(status: number, message: string, retryAfter?: number): Response {
  const headers: Record<string, string> = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  return new Response(`${message}\n`, { status, headers });
}

/** Of auxiliary tenants NMI returns the first token only, and no other member than these seven, all strings, in this order. */
export function hostTokenResponse(
  token: Token,
  { resource, clientId, wallMs }: { resource: string; clientId: string; wallMs: number },
): Response {
  const body = {
    token: {
      access_token: token.accessToken,
      refresh_token: '',
      expires_in: String(Math.max(0, secondsLeft(token, wallMs))),
      expires_on: String(token.expiresOn),
      not_before: String(token.notBefore),
      resource,
      token_type: token.tokenType,
    },
    clientid: token.clientId ?? clientId,
  };
  return new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } });
}
