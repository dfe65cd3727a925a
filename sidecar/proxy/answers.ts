// Bodies and headers as IMDS (or App Service) gives them: always JSON, all values strings (spec/azure-protocols.md 1.3, 1.5).
import { version } from '../../api/version.ts';
import type { Token } from '../tokens/token.ts';
import { secondsLeft } from '../tokens/token.ts';
import type { TokenRoute } from './routes.ts';

export type Dialect = TokenRoute['dialect'];

/** Some SDKs look for IMDS in the name; the rest tells a person who it was. */
const serverName = `IMDS/aad-pod-identity/${version}`;
const jsonHeaders = { 'content-type': 'application/json; charset=utf-8', server: serverName };

const errorCodes: Record<number, string> = {
  400: 'invalid_request',
  401: 'unauthorized_client',
  403: 'forbidden',
  404: 'not_found',
  405: 'method_not_allowed',
  410: 'service_unavailable',
  429: 'too_many_requests',
  500: 'server_error',
  503: 'service_unavailable',
};

export interface ErrorAnswer {
  status: number;
  text: string;
  error?: string;
  /** Seconds, at most 20: azidentity for Go gives up on more than 25. */
  retryAfter?: number;
}

export function errorAnswer(
  { status, text, error = errorCodes[status] ?? 'server_error', retryAfter }: ErrorAnswer,
  dialect: Dialect,
): Response {
  // Credential chains take this word for "there is no IMDS here" and move on.
  const description = text.replaceAll(/unreachable/gi, 'not reachable');
  const headers: Record<string, string> = { ...jsonHeaders };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  if (status === 405) headers.allow = 'GET';
  const body = dialect === 'imds' ? { error, error_description: description } : { statusCode: status, message: description };
  return new Response(JSON.stringify(body), { status, headers });
}

/** `expires_in` is told anew with every answer; `resource` and the selector come back as they were sent. */
export function tokenAnswer(token: Token, route: TokenRoute, clientId: string, wallMs: number): Response {
  const bodyOf = (each: Token) => tokenBody(each, route, clientId, wallMs);
  const { auxiliary, ...own } = token;
  // A list only where the identity has auxiliary tenants, as NMI gave it: ordinary SDKs do not read one (spec/aad-pod-identity.md 3.3).
  const body = auxiliary === undefined ? bodyOf(token) : [own, ...auxiliary].map(bodyOf);
  return new Response(JSON.stringify(body), { headers: jsonHeaders });
}

function tokenBody(token: Token, route: TokenRoute, clientId: string, wallMs: number): Record<string, string> {
  const left = String(Math.max(0, secondsLeft(token, wallMs)));
  const client = token.clientId ?? clientId;
  const body: Record<string, string> = {
    access_token: token.accessToken,
    ...(client === '' ? {} : { client_id: client }),
    expires_in: left,
    expires_on: String(token.expiresOn),
    ext_expires_in: left,
    not_before: String(token.notBefore),
    resource: route.resource,
    token_type: token.tokenType,
  };
  if (route.selector !== undefined) body[route.selector.name] = route.selector.value;
  return body;
}

/** An answer of IMDS without its connection's headers. */
export function passedAnswer(status: number, contentType: string | null, body: string): Response {
  return new Response(body, { status, headers: { 'content-type': contentType ?? 'application/json; charset=utf-8', server: serverName } });
}
