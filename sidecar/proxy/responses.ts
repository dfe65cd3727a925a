// Responses as IMDS or App Service gives them: always JSON, and every value of a token a string (docs/reference/imds.md).
import type { SidecarStatus } from '../../api/sidecar-status.ts';
import { version } from '../../api/version.ts';
import type { Token } from '../tokens/token.ts';
import { secondsLeft } from '../tokens/token.ts';
import type { Protocol, TokenRoute } from './routes.ts';

/** Some SDKs look for `IMDS` in this header; the rest names the program for people. */
const serverName = `IMDS/aad-pod-identity/${version}`;
const jsonHeaders = { 'content-type': 'application/json; charset=utf-8', server: serverName };

/** The field `error` of IMDS for a status. */
export const errorOfStatus: Record<number, string> = {
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

export interface ErrorOptions {
  status: number;
  message: string;
  /** The field `error` of IMDS. */
  error?: string;
  /** Seconds, at most 20: azidentity for Go gives up on more than 25. */
  retryAfter?: number;
  /** Methods that a 405 names. */
  allow?: readonly string[];
}

/** The header tells that the token proxy answers, and not the IMDS of the node. */
export const statusResponse = (status: SidecarStatus): Response => new Response(JSON.stringify(status), { headers: jsonHeaders });

export function errorResponse(
  { status, message, error = errorOfStatus[status] ?? 'server_error', retryAfter, allow }: ErrorOptions,
  protocol: Protocol,
): Response {
  // Credential chains take the word "unreachable" for "there is no IMDS here" and try their next source.
  const description = message.replaceAll(/unreachable/gi, 'not reachable');
  const headers: Record<string, string> = { ...jsonHeaders };
  if (retryAfter !== undefined) headers['retry-after'] = String(retryAfter);
  if (allow !== undefined) headers.allow = allow.join(', ');
  const body = protocol === 'imds' ? { error, error_description: description } : { statusCode: status, message: description };
  return new Response(JSON.stringify(body), { status, headers });
}

/** `expires_in` is computed for each response; `resource` and the selector come back as they were sent. */
export function tokenResponse(token: Token, route: TokenRoute, clientId: string, wallMs: number): Response {
  return new Response(tokenText(token, route, clientId, wallMs), { headers: jsonHeaders });
}

interface Written {
  token: Token;
  clientId: string;
  second: number;
  text: string;
}
/** The last body of each route: it is the same for a second, and writing it takes a third of the time of a response. */
const written = new WeakMap<TokenRoute, Written>();

function tokenText(token: Token, route: TokenRoute, clientId: string, wallMs: number): string {
  const second = Math.floor(wallMs / 1000);
  const last = written.get(route);
  if (last?.second === second && last.token === token && last.clientId === clientId) return last.text;
  const bodyOf = (each: Token) => tokenBody(each, route, clientId, wallMs);
  const { auxiliary, ...own } = token;
  // A list only for an identity with auxiliary tenants, as NMI does it: ordinary SDKs cannot read a list (docs/reference/aad-pod-identity.md).
  const text = JSON.stringify(auxiliary === undefined ? bodyOf(token) : [own, ...auxiliary].map(bodyOf));
  written.set(route, { token, clientId, second, text });
  return text;
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

/**
 * Headers of IMDS that are passed on. Chains of certificates come in some: Intel's libraries read them, and how long to keep the rest
 * (docs/reference/imds.md#collateral).
 */
const passedHeaders = /^(?:content-type|cache-control|request-id|(?:sgx|tdx|tcb)-.*)$/;

/** A response of IMDS without the headers of its connection. */
export function passedResponse(status: number, headers: Headers, body: ArrayBuffer): Response {
  const passed = [...headers].filter(([name]) => passedHeaders.test(name));
  return new Response(body, { status, headers: { ...jsonHeaders, ...Object.fromEntries(passed) } });
}
