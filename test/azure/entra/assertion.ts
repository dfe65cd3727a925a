// Client assertions: signed by a certificate of the app, or by an issuer that one of its federated credentials trusts.
import type { KeyObject } from 'node:crypto';
import { createHash, X509Certificate } from 'node:crypto';
import type { Context } from '../core/handler.ts';
import type { Jwt } from '../core/jwt.ts';
import { readJwt, verifyJwt } from '../core/jwt.ts';
import type { Incoming } from '../core/messages.ts';
import type { App, Change, State, Trust } from '../state/model.ts';
import type { Principal } from './principal.ts';

export type Refusal = { readonly code: number; readonly detail?: string };
export type Proven = { readonly changes: readonly Change[] };

// Entra tolerates clocks that differ by this much.
const skewSeconds = 300;

function outsideValidity(jwt: Jwt, seconds: number): boolean {
  const { exp, nbf } = jwt.claims;
  return typeof exp !== 'number' || seconds > exp + skewSeconds || (typeof nbf === 'number' && seconds < nbf - skewSeconds);
}

const base64url = (hash: string, der: Buffer) => createHash(hash).update(der).digest('base64url');

/** The registered certificate that the header names: by SHA-256 or SHA-1 thumbprint, else by the chain it carries. */
function namedCertificate(jwt: Jwt, app: App): X509Certificate | null {
  const { x5t, x5c, 'x5t#S256': x5tS256 } = jwt.header;
  const registered = app.certificates.map((pem) => new X509Certificate(pem));
  const first: unknown = Array.isArray(x5c) ? x5c[0] : undefined;
  return (
    registered.find(({ raw }) => {
      if (x5tS256 !== undefined) return x5tS256 === base64url('sha256', raw);
      if (x5t !== undefined) return x5t === base64url('sha1', raw);
      return first === raw.toString('base64');
    }) ?? null
  );
}

function replayed(jwt: Jwt, context: Context): Proven | Refusal {
  if (!context.state.config.settings.entra.refuseReplay) return { changes: [] };
  const { jti, exp, iss } = jwt.claims;
  if (typeof jti !== 'string' || typeof exp !== 'number') return { code: 50027, detail: 'The assertion has no jti.' };
  const key = `${String(iss)} ${jti}`;
  if (context.state.assertions.has(key)) return { code: 700024, detail: 'The assertion was used before.' };
  const old: Change[] = [...context.state.assertions]
    .filter(([, until]) => until < context.now)
    .map(([id]) => ({ table: 'assertions', key: id, value: null }));
  return { changes: [...old, { table: 'assertions', key, value: (exp + skewSeconds) * 1000 }] };
}

/** The issuer and key id of an assertion that some application or identity trusts, so that the issuer's keys can be fetched first; else null. */
export function foreignIssuerOf(request: Incoming, state: State): { issuer: string; kid: string | null } | null {
  const jwt = readJwt(new URLSearchParams(request.body).get('client_assertion') ?? '');
  const issuer = jwt?.claims.iss;
  if (jwt === null || typeof issuer !== 'string') return null;
  const trusted =
    [...state.apps.values()].some((app) => app.federated.some((one) => one.issuer === issuer)) ||
    [...state.identities.values()].some((identity) => identity.trusts.some((one) => one.issuer === issuer));
  return trusted ? { issuer, kid: typeof jwt.header.kid === 'string' ? jwt.header.kid : null } : null;
}

/** The trust that an assertion fulfils, or which of its parts none has. Issuer, subject and audience are compared exactly. */
function matchTrust(jwt: Jwt, trusts: readonly Trust[]): Trust | Refusal {
  const { iss, sub, aud } = jwt.claims;
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  const byIssuer = trusts.filter((one) => one.issuer === iss);
  if (byIssuer.length === 0)
    return {
      code: trusts.length === 0 ? 70021 : 700211,
      detail: `No matching federated identity record found for presented assertion issuer '${String(iss)}'.`,
    };
  const bySubject = byIssuer.filter((one) => one.subject === sub);
  if (bySubject.length === 0) {
    const otherCase = byIssuer.find((one) => one.subject.toLowerCase() === String(sub).toLowerCase());
    if (otherCase !== undefined)
      return {
        code: 7002138,
        detail: `The presented assertion subject '${String(sub)}' differs in case from the subject '${otherCase.subject}' of a federated identity record.`,
      };
    return { code: 700213, detail: `No matching federated identity record found for presented assertion subject '${String(sub)}'.` };
  }
  return (
    bySubject.find((one) => one.audiences.some((audience) => audiences.includes(audience))) ?? {
      code: 700212,
      detail: `No matching federated identity record found for presented assertion audience '${String(aud)}'.`,
    }
  );
}

/** Null: the issuer cannot be reached. */
function keysOf(jwt: Jwt, context: Context): readonly KeyObject[] | null {
  const { iss } = jwt.claims;
  const given = context.state.config.issuers.filter((one) => one.issuer === iss).flatMap((one) => one.keys ?? []);
  if (given.length > 0) return given;
  const published = context.issuerKeys(String(iss));
  return published === null ? null : published.filter(({ kid }) => kid === (jwt.header.kid ?? null)).map(({ key }) => key);
}

function federated(jwt: Jwt, principal: Principal, context: Context): Proven | Refusal {
  if (jwt.header.alg !== 'RS256') return { code: 50027, detail: `The algorithm '${String(jwt.header.alg)}' is not RS256.` };
  const trust = matchTrust(jwt, principal.trusts);
  if ('code' in trust) return trust;
  const keys = keysOf(jwt, context);
  if (keys === null) return { code: 90061, detail: `The signing keys of the issuer '${trust.issuer}' could not be fetched.` };
  if (!keys.some((key) => verifyJwt(jwt, key)))
    return { code: 700027, detail: "The assertion's signature does not verify with the keys of its issuer." };
  if (outsideValidity(jwt, context.now / 1000)) return { code: 700024 };
  return replayed(jwt, context);
}

/** Checks an assertion of this principal; `endpoints` are the audiences that mean this tenant. */
export function proveAssertion(assertion: string, principal: Principal, endpoints: readonly string[], context: Context): Proven | Refusal {
  const jwt = readJwt(assertion);
  if (jwt === null) return { code: 50027 };
  const { iss, sub, aud } = jwt.claims;
  const { app } = principal;
  const own = typeof iss === 'string' && iss.toLowerCase() === principal.clientId.toLowerCase();
  if (app === null || !own) return federated(jwt, principal, context);
  const certificate = namedCertificate(jwt, app);
  if (certificate === null || !verifyJwt(jwt, certificate.publicKey)) return { code: 700027 };
  if (sub !== iss) return { code: 50027, detail: "The assertion's subject is not its issuer." };
  if (typeof aud !== 'string' || !endpoints.some((endpoint) => endpoint.toLowerCase() === aud.toLowerCase())) {
    return { code: 50027, detail: `The assertion's audience '${String(aud)}' is not this token endpoint or its issuer.` };
  }
  if (outsideValidity(jwt, context.now / 1000)) return { code: 700024 };
  return replayed(jwt, context);
}
