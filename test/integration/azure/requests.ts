// Plain requests to the emulated services, and what their answers say.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { readJwt } from '../../azure/core/jwt.ts';
import { isRecord, parseJson } from '../../azure/core/messages.ts';
import type { Emulator } from '../../azure/emulator.ts';
import { app, armAudience, idOf, tenant } from './fixtures.ts';

export type Reply = {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly json: Record<string, unknown>;
};
export type Call = { readonly method?: string; readonly headers?: Record<string, string>; readonly body?: string; readonly ca?: string };

/** One request on a connection of its own; the target is sent as it is written. */
export function call(base: string, target: string, { method = 'GET', headers = {}, body = '', ca }: Call = {}): Promise<Reply> {
  const url = new URL(base);
  const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
  const { hostname, port } = url;
  return new Promise((resolve, reject) => {
    const request = send(
      { hostname, port, path: target, method, headers, agent: false, ...(ca === undefined ? {} : { ca }) },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const parsed = parseJson(text);
          const shown = Object.fromEntries(Object.entries(response.headers).map(([name, value]) => [name, String(value)]));
          resolve({ status: response.statusCode ?? 0, headers: shown, text, json: isRecord(parsed) ? parsed : {} });
        });
      },
    );
    request.on('error', reject);
    request.end(body);
  });
}

/** The `properties` of an ARM answer. */
export const propertiesOf = ({ json }: Reply): Record<string, unknown> => (isRecord(json.properties) ? json.properties : {});

export const tokenPath = '/metadata/identity/oauth2/token';

/** Asks IMDS for a token; `query` replaces or adds to a good request's parameters, null leaves one out. */
export function imds(
  base: string,
  query: Record<string, string | null> = {},
  headers: Record<string, string> = { metadata: 'true' },
): Promise<Reply> {
  const all = { 'api-version': '2018-02-01', resource: armAudience, ...query };
  const given = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, value] satisfies [string, string]]));
  return call(base, `${tokenPath}?${new URLSearchParams(given)}`, { headers });
}

/** A GET of IMDS, with the header that it requires. */
export const getMetadata = (base: string, target: string, headers: Record<string, string> = { metadata: 'true' }): Promise<Reply> =>
  call(base, target, { headers });

/** Signs in at Entra; `form` replaces or adds to a good v2 request by secret, null leaves a field out. */
export function signIn(
  emulator: Emulator,
  form: Record<string, string | null> = {},
  path = `/${tenant}/oauth2/v2.0/token`,
): Promise<Reply> {
  const all = {
    grant_type: 'client_credentials',
    client_id: app.clientId,
    client_secret: app.secret,
    scope: `${armAudience}/.default`,
    ...form,
  };
  const given = Object.entries(all).flatMap(([name, value]) => (value === null ? [] : [[name, value] satisfies [string, string]]));
  const headers = { 'content-type': 'application/x-www-form-urlencoded' };
  return call(emulator.urls.entra, path, { method: 'POST', headers, body: new URLSearchParams(given).toString(), ca: emulator.ca });
}

export function tokenOf(reply: Reply): string {
  const { access_token: token } = reply.json;
  assert.ok(typeof token === 'string', `no token in ${reply.status} ${reply.text}`);
  return token;
}

export type Arm = (
  method: string,
  id: string,
  body?: unknown,
  options?: { headers?: Record<string, string>; apiVersion?: string | null },
) => Promise<Reply>;

/** Calls ARM as the app, signed in once. `id` may already carry a query (as the URL of an operation does). */
export async function arm(emulator: Emulator): Promise<Arm> {
  const token = tokenOf(await signIn(emulator));
  return (method, id, body, { headers = {}, apiVersion = '2026-04-01' } = {}) => {
    const target = id.startsWith('https:') ? id.slice(new URL(id).origin.length) : id;
    const versioned = apiVersion === null || target.includes('api-version=') ? target : `${target}?api-version=${apiVersion}`;
    const sent = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    return call(emulator.urls.arm, versioned, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      body: sent,
      ca: emulator.ca,
    });
  };
}

/** The body of a PATCH that adds and removes identities by name. */
export function identityPatch(type: string, add: readonly string[] = [], remove: readonly string[] = []): Record<string, unknown> {
  const entries = [...add.map((name) => [idOf(name), {}]), ...remove.map((name) => [idOf(name), null])];
  return { identity: { type, ...(entries.length === 0 ? {} : { userAssignedIdentities: Object.fromEntries(entries) }) } };
}

/** Names of the user-assigned identities in an ARM answer. */
export function attachedNames(reply: Reply): string[] {
  const { identity } = reply.json;
  const map = isRecord(identity) ? identity.userAssignedIdentities : undefined;
  return isRecord(map)
    ? Object.keys(map)
        .map((id) => id.slice(id.lastIndexOf('/') + 1))
        .sort()
    : [];
}

export function errorOf(reply: Reply): { status: number; code: string; message: string } {
  const { error, error_description: description } = reply.json;
  if (isRecord(error)) return { status: reply.status, code: String(error.code), message: String(error.message) };
  return { status: reply.status, code: String(error), message: String(description ?? '') };
}

export const claimsOf = (token: string): Readonly<Record<string, unknown>> => readJwt(token)?.claims ?? {};
