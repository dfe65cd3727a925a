// POST /{tenant}/oauth2/v2.0/token and /{tenant}/oauth2/token: client credentials.
import type { Context, Outcome } from '../core/handler.ts';
import { only } from '../core/handler.ts';
import type { Incoming } from '../core/messages.ts';
import { json } from '../core/messages.ts';
import { accessClaims, issuerOf } from '../core/tokens.ts';
import { effectOf } from '../faults/effects.ts';
import type { App, Change } from '../state/model.ts';
import type { Proven, Refusal } from './assertion.ts';
import { proveAssertion } from './assertion.ts';
import { aadsts } from './errors.ts';
import type { Principal } from './principal.ts';
import { principalOf } from './principal.ts';

const assertionType = 'urn:ietf:params:oauth:client-assertion-type:jwt-bearer';

/** The audience of a request: exactly one trailing `/.default` is taken off, so a resource may itself end in a slash. */
function audienceOf(form: URLSearchParams, version: 1 | 2): string | Refusal {
  if (version === 1) {
    const resource = form.get('resource');
    return resource === null || resource === ''
      ? { code: 900144, detail: "The request body must contain the following parameter: 'resource'." }
      : resource;
  }
  const scope = form.get('scope')?.trim() ?? '';
  if (scope === '') return { code: 900144, detail: "The request body must contain the following parameter: 'scope'." };
  if (/\s/.test(scope))
    return {
      code: 70011,
      detail: `The provided value for the input parameter 'scope' is not valid. The scope '${scope}' names more than one resource.`,
    };
  if (!scope.endsWith('/.default') || scope === '/.default')
    return {
      code: 1002012,
      detail: `The provided value for scope ${scope} is not valid. Client credential flows must have a scope value with '/.default' suffixed to the resource identifier (application ID URI).`,
    };
  return scope.slice(0, -'/.default'.length);
}

function proveSecret(secret: string, app: App | null, now: number): Proven | Refusal {
  const known = app?.secrets.filter((one) => one.value === secret) ?? [];
  if (known.length === 0) return { code: 7000215 };
  if (known.every((one) => one.expires !== null && one.expires <= now)) return { code: 7000222 };
  return { changes: [] };
}

function prove(form: URLSearchParams, principal: Principal, tenantId: string, request: Incoming, context: Context): Proven | Refusal {
  const assertion = form.get('client_assertion');
  const secret = form.get('client_secret');
  if (assertion !== null) {
    if (form.get('client_assertion_type') !== assertionType)
      return { code: 900144, detail: `The parameter 'client_assertion_type' must be '${assertionType}'.` };
    // Clients put the endpoint they post to, the other version's, or the issuer; and the tenant by its id or by the name they were given.
    const [, named = tenantId] = request.path.split('/');
    const bases = [tenantId, named].map((tenant) => `${request.origin}/${tenant}`);
    const endpoints = bases.flatMap((base) => [`${base}/oauth2/v2.0/token`, `${base}/oauth2/token`, `${base}/v2.0`, `${base}/`, base]);
    return proveAssertion(assertion, principal, [...endpoints, issuerOf(tenantId)], context);
  }
  return secret === null || secret === '' ? { code: 7000218 } : proveSecret(secret, principal.app, context.now);
}

const loopWindowMs = 5 * 60_000;

/** What counts this request; null where the same was asked too often. */
function requestLoop(what: string, { state, now }: Context): readonly Change[] | null {
  const most = state.config.settings.entra.loopAfter;
  if (most === null) return [];
  const key = `loop ${what}`.toLowerCase();
  const before = state.buckets.get(key) ?? { tokens: most, at: now, blockedUntil: 0 };
  const tokens = Math.min(most, before.tokens + ((now - before.at) / loopWindowMs) * most);
  return tokens < 1 ? null : [{ table: 'buckets', key, value: { tokens: tokens - 1, at: now, blockedUntil: 0 } }];
}

export function answerToken(request: Incoming, context: Context, tenantId: string, version: 1 | 2): Outcome {
  const refuse = ({ code, detail }: Refusal) => only(aadsts(code, request, context, detail));
  const form = new URLSearchParams(/form-urlencoded/i.test(request.headers['content-type'] ?? '') ? request.body : '');
  const { state, now, keys, random, effects } = context;
  const grant = form.get('grant_type');
  if (grant === null || grant === '')
    return refuse({ code: 900144, detail: "The request body must contain the following parameter: 'grant_type'." });
  if (grant !== 'client_credentials') return refuse({ code: 70003, detail: `The app requested an unsupported grant type '${grant}'.` });
  const clientId = form.get('client_id');
  if (clientId === null || clientId === '')
    return refuse({ code: 900144, detail: "The request body must contain the following parameter: 'client_id'." });
  const principal = principalOf(clientId, tenantId, context);
  if (principal === undefined)
    return refuse({ code: 700016, detail: `Application with identifier '${clientId}' was not found in the directory '${tenantId}'.` });
  const unusable = principal.disabled ? { code: 7000112, detail: `Application '${clientId}' is disabled.` } : null;
  const proven = unusable ?? prove(form, principal, tenantId, request, context);
  if ('code' in proven) return refuse(proven);
  if (principal.blocked) return refuse({ code: 53003 });
  const audience = audienceOf(form, version);
  if (typeof audience !== 'string') return refuse(audience);
  if (state.config.audiences !== null && !state.config.audiences.includes(audience)) {
    return refuse({ code: 500011, detail: `The resource principal named ${audience} was not found in the tenant named ${tenantId}.` });
  }

  const loop = requestLoop(`${clientId} ${audience}`, context);
  if (loop === null) return refuse({ code: 50196 });

  const { refreshInSeconds } = state.config.settings.entra;
  const tokenSeconds = state.config.settings.entra[principal.app === null ? 'identityTokenSeconds' : 'tokenSeconds'];
  const bad = effectOf(effects, 'bad-token');
  const issued = Math.floor(now / 1000) - (bad?.expired === true ? tokenSeconds + 3600 : 0);
  const proof = form.get('client_assertion') === null ? '1' : '2';
  const { objectId, clientId: appId, resourceId } = principal;
  const subject = { objectId, appId, tenantId, resourceId, machineId: null, proof } as const;
  const token = keys.sign(accessClaims(subject, bad?.audience ?? audience, { issued, expires: issued + tokenSeconds }, random()));
  const life = { expires_in: tokenSeconds, ext_expires_in: tokenSeconds };
  const text = (value: number) => String(value);
  const body =
    version === 2
      ? { token_type: 'Bearer', ...life, ...(refreshInSeconds === null ? {} : { refresh_in: refreshInSeconds }), access_token: token }
      : {
          token_type: 'Bearer',
          expires_in: text(tokenSeconds),
          ext_expires_in: text(tokenSeconds),
          expires_on: text(issued + tokenSeconds),
          not_before: text(issued),
          resource: audience,
          access_token: token,
        };
  return { answer: json(200, body, { 'cache-control': 'no-store, no-cache', pragma: 'no-cache' }), changes: [...proven.changes, ...loop] };
}
