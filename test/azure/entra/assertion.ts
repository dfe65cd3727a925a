// Client assertions: signed by a certificate of the app, or by an issuer that one of its federated credentials trusts.
import { createHash, X509Certificate } from 'node:crypto';
import type { Context } from '../core/handler.ts';
import type { Jwt } from '../core/jwt.ts';
import { readJwt, verifyJwt } from '../core/jwt.ts';
import type { App, Change } from '../state/model.ts';

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

function federated(jwt: Jwt, app: App, context: Context): Proven | Refusal {
  const { iss, sub, aud } = jwt.claims;
  const audiences: unknown[] = Array.isArray(aud) ? aud : [aud];
  const byIssuer = app.federated.filter((one) => one.issuer === iss);
  if (byIssuer.length === 0)
    return {
      code: app.federated.length === 0 ? 70021 : 700211,
      detail: `No matching federated identity record found for presented assertion issuer '${String(iss)}'.`,
    };
  const bySubject = byIssuer.filter((one) => one.subject === sub);
  if (bySubject.length === 0)
    return { code: 700213, detail: `No matching federated identity record found for presented assertion subject '${String(sub)}'.` };
  if (!bySubject.some((one) => audiences.includes(one.audience)))
    return { code: 700212, detail: `No matching federated identity record found for presented assertion audience '${String(aud)}'.` };
  const keys = context.state.config.issuers.filter((one) => one.issuer === iss).flatMap((one) => one.keys);
  if (!keys.some((key) => verifyJwt(jwt, key)))
    return { code: 700027, detail: "The assertion's signature does not verify with the keys of its issuer." };
  if (outsideValidity(jwt, context.now / 1000)) return { code: 700024 };
  return replayed(jwt, context);
}

/** Checks an assertion of this app; `endpoints` are the audiences that mean this tenant. */
export function proveAssertion(assertion: string, app: App, endpoints: readonly string[], context: Context): Proven | Refusal {
  const jwt = readJwt(assertion);
  if (jwt === null) return { code: 50027 };
  const { iss, sub, aud } = jwt.claims;
  const own = typeof iss === 'string' && iss.toLowerCase() === app.clientId.toLowerCase();
  if (!own) return federated(jwt, app, context);
  const certificate = namedCertificate(jwt, app);
  if (certificate === null || !verifyJwt(jwt, certificate.publicKey)) return { code: 700027 };
  if (sub !== iss) return { code: 50027, detail: "The assertion's subject is not its issuer." };
  if (typeof aud !== 'string' || !endpoints.some((endpoint) => endpoint.toLowerCase() === aud.toLowerCase())) {
    return { code: 50027, detail: `The assertion's audience '${String(aud)}' is not this token endpoint or its issuer.` };
  }
  if (outsideValidity(jwt, context.now / 1000)) return { code: 700024 };
  return replayed(jwt, context);
}
