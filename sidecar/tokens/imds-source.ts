// Tokens of user-assigned managed identities, from IMDS.

import { rowKey } from '../../api/identity-choice.ts';
import type { Clock } from '../../common/clock.ts';
import { isRecord, stringAt } from '../../common/records.ts';
import { describeFetchError, jsonOf, NoAnswerError } from '../http.ts';
import type { ImdsClient, ImdsResponse } from './imds-client.ts';
import { imdsApiVersion, imdsEgress, imdsTokenPath } from './imds-client.ts';
import { createSilence } from './imds-silence.ts';
import type { TokenError, TokenQuery, TokenResult, TokenSource } from './source.ts';
import { parseToken } from './token.ts';

/** `brokerAnswers`: the network of the pod works, so that the silence of IMDS has a reason of its own. */
export function createImdsSource(options: { imds: ImdsClient; clock: Clock; brokerAnswers: () => boolean }): TokenSource {
  const { imds, clock, brokerAnswers } = options;
  const silence = createSilence(clock);
  return {
    async fetch(query, signal) {
      // IMDS takes an empty selector for none and would give the token of any identity of the node.
      if (query.row.resourceID === '') return { error: missingResourceId(query) };
      const request = { lane: 'token', path: imdsTokenPath, query: parametersOf(query) } as const;
      const attempt = silence.begin();
      try {
        const response = await imds.send(request, { timeoutMs: attempt.timeoutMs, signal });
        silence.end();
        return parseResponse(response, query, clock.wall());
      } catch (error) {
        if (error instanceof NoAnswerError) attempt.timedOut();
        const { since } = silence;
        if (since === undefined || !brokerAnswers())
          return { error: { code: 'network', message: `${describeFetchError(error)}. ${imdsEgress}` } };
        return { error: { code: 'silent', message: `it has answered nothing since ${new Date(since).toISOString()}` } };
      }
    },
  };
}

/** The resource id is always the only selector, so that no default of IMDS decides which token this pod gets. */
function parametersOf({ row, resource, xmsCc, bypass }: TokenQuery): Record<string, string> {
  return {
    'api-version': imdsApiVersion,
    resource,
    msi_res_id: row.resourceID,
    ...(xmsCc === undefined ? {} : { xms_cc: xmsCc }),
    ...(bypass ? { bypass_cache: 'true' } : {}),
  };
}

function missingResourceId({ row }: TokenQuery): TokenError {
  const message = `Identity not found: AzureIdentity ${rowKey(row)} has no resourceID`;
  return { code: 'final', status: 400, error: 'invalid_request', message };
}

function parseResponse(response: ImdsResponse, { row, resource }: TokenQuery, wallMs: number): TokenResult {
  const requestId = response.headers.get('x-ms-request-id') ?? crypto.randomUUID();
  if (response.status !== 200) return { error: errorOf(response, { requestId, resource }) };
  const token = parseToken(jsonOf(response), wallMs);
  if (token === undefined) return { error: { code: 'server', message: 'IMDS answered 200 without a token' } };
  const expected = row.clientID.toLowerCase();
  if (token.clientId !== undefined && expected !== '' && token.clientId.toLowerCase() !== expected) {
    const message = `IMDS answered for client id ${token.clientId} where ${row.resourceID} has ${row.clientID}`;
    return { error: { code: 'wrong_client_id', message, requestId } };
  }
  return { token };
}

/** What the statuses of IMDS mean: docs/reference/imds.md. The application reads the message, which is IMDS's own. */
function errorOf(response: ImdsResponse, { requestId, resource }: { requestId: string; resource: string }): TokenError {
  const body = jsonOf(response);
  const { status } = response;
  if (!response.genuine && !isRecord(body)) return notImds(response);
  const error = stringAt(body, 'error') ?? '';
  const message = stringAt(body, 'error_description') || error || `IMDS answered HTTP ${status}`;
  switch (status) {
    case 404:
      return { code: 'updating', message };
    case 410:
      return { code: 'restarting', message };
    case 429:
      return { code: 'throttled', message };
    case 400:
      return /identity not found/i.test(message)
        ? { code: 'identity_not_found', message, requestId }
        : { code: 'final', status, error: error || 'invalid_request', message: `${message}${scopeHint(resource)}` };
    case 401:
    case 403:
      return { code: 'final', status, error: error || 'unauthorized_client', message };
    default:
      return { code: 'server', message };
  }
}

/** The host has a web server in front of IMDS, which answers by itself what it cannot pass on: that is nobody's fault on the node. */
function notImds({ status, headers }: ImdsResponse): TokenError {
  const server = headers.get('server') ?? '';
  if (/^Microsoft-(HTTPAPI|IIS)/i.test(server))
    return { code: 'server', message: `HTTP ${status} from the web server before IMDS (${server.slice(0, 40)})` };
  const named = server === '' ? '' : `, which calls itself ${server.slice(0, 40)}`;
  return { code: 'not_imds', message: `HTTP ${status} from something on this node that is not IMDS${named} (an NMI of aad-pod-identity?)` };
}

/** Entra's newer endpoint takes scopes, IMDS the audience alone. */
function scopeHint(resource: string): string {
  return resource.endsWith('/.default') ? ` (resource is an audience: leave out "/.default" of ${resource.slice(0, 200)})` : '';
}
