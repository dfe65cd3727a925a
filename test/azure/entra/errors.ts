// Error answers of Entra: clients branch on `error`, people read the AADSTS number. docs/reference/entra.md#errors
import type { Context } from '../core/handler.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { json } from '../core/messages.ts';
import { drawGuid } from '../core/random.ts';

type Row = { readonly status: number; readonly error: string; readonly text: string };

const rows: Readonly<Record<number, Row>> = {
  50001: { status: 400, error: 'invalid_resource', text: 'The resource principal was not found in the tenant.' },
  50027: { status: 400, error: 'invalid_request', text: 'JWT token is invalid or malformed.' },
  50196: {
    status: 400,
    error: 'invalid_grant',
    text: 'The server terminated an operation because it encountered a client request loop. Please contact your app vendor.',
  },
  53003: {
    status: 400,
    error: 'invalid_grant',
    text: 'Access has been blocked by Conditional Access policies. The access policy does not allow token issuance.',
  },
  70003: { status: 400, error: 'unsupported_grant_type', text: 'The app requested an unsupported grant type.' },
  70011: { status: 400, error: 'invalid_scope', text: 'The provided request must include a valid scope.' },
  70021: { status: 401, error: 'invalid_client', text: 'No matching federated identity record found for presented assertion.' },
  90002: {
    status: 400,
    error: 'invalid_request',
    text: 'Tenant not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.',
  },
  90033: { status: 503, error: 'temporarily_unavailable', text: 'A transient error has occurred. Please try again.' },
  90061: { status: 400, error: 'invalid_request', text: 'Request to External OIDC endpoint failed.' },
  90055: {
    status: 429,
    error: 'temporarily_unavailable',
    text: 'The server has terminated the request because there are too many requests.',
  },
  500011: { status: 400, error: 'invalid_resource', text: 'The resource principal was not found in the tenant.' },
  700016: { status: 400, error: 'unauthorized_client', text: 'The application was not found in the directory.' },
  700024: { status: 401, error: 'invalid_client', text: 'Client assertion is not within its valid time range.' },
  700027: {
    status: 401,
    error: 'invalid_client',
    text: 'The certificate with identifier used to sign the client assertion is not registered on application, or the signature is invalid.',
  },
  700211: { status: 401, error: 'invalid_client', text: 'No matching federated identity record found for presented assertion issuer.' },
  700212: { status: 401, error: 'invalid_client', text: 'No matching federated identity record found for presented assertion audience.' },
  700213: { status: 401, error: 'invalid_client', text: 'No matching federated identity record found for presented assertion subject.' },
  7000112: { status: 400, error: 'unauthorized_client', text: 'The application is disabled.' },
  7002138: {
    status: 401,
    error: 'invalid_client',
    text: 'The presented assertion subject differs in case from that of a federated identity record.',
  },
  900144: { status: 400, error: 'invalid_request', text: 'The request body must contain the required parameters.' },
  1002012: {
    status: 400,
    error: 'invalid_scope',
    text: "The provided value for scope is not valid. Client credential flows must have a scope value with '/.default' suffixed to the resource identifier.",
  },
  7000215: {
    status: 401,
    error: 'invalid_client',
    text: 'Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.',
  },
  7000218: {
    status: 401,
    error: 'invalid_client',
    text: "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
  },
  7000222: { status: 401, error: 'invalid_client', text: 'The provided client secret keys are expired.' },
};

export const knownCodes: readonly number[] = Object.keys(rows).map(Number);

/** The documented answer for an AADSTS number; `detail` replaces its usual sentence. */
export function aadsts(code: number, request: Incoming, context: Context, detail?: string, retryAfter?: number | null): Answer {
  const row = rows[code] ?? { status: 400, error: 'invalid_request', text: 'The request failed.' };
  const trace = drawGuid(context.random);
  const correlation = request.query.get('client-request-id') ?? request.headers['client-request-id'] ?? drawGuid(context.random);
  const stamp = new Date(context.now).toISOString().slice(0, 19).replace('T', ' ');
  const body = {
    error: row.error,
    error_description: `AADSTS${code}: ${detail ?? row.text} Trace ID: ${trace} Correlation ID: ${correlation} Timestamp: ${stamp}Z`,
    error_codes: [code],
    timestamp: `${stamp}Z`,
    trace_id: trace,
    correlation_id: correlation,
    error_uri: `https://login.microsoftonline.com/error?code=${code}`,
  };
  const wait = retryAfter === undefined || retryAfter === null ? {} : { 'retry-after': String(retryAfter) };
  return json(row.status, body, { 'x-ms-request-id': trace, 'cache-control': 'no-store, no-cache', ...wait });
}
