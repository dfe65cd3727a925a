// Who calls ARM: a bearer token that this emulator signed, for ARM, still valid, of a tenant that exists.
import type { Context } from '../core/handler.ts';
import { readJwt } from '../core/jwt.ts';
import type { Answer, Incoming } from '../core/messages.ts';
import { keyOf } from '../state/names.ts';
import { unauthenticated } from './errors.ts';

export type Caller = { readonly objectId: string; readonly appId: string; readonly resourceId: string | null; readonly tenantId: string };

// Azure tolerates clocks that differ by this much.
const skewSeconds = 300;

export function authenticate(request: Incoming, context: Context): Caller | { refused: Answer } {
  const refuse = (code: string, message: string) => ({ refused: unauthenticated(code, message) });
  const { authorization } = request.headers;
  if (authorization === undefined) return refuse('AuthenticationFailed', "Authentication failed. The 'Authorization' header is missing.");
  const [, token] = /^bearer +(\S+)$/i.exec(authorization) ?? [];
  const jwt = token === undefined ? null : readJwt(token);
  if (jwt === null) return refuse('InvalidAuthenticationToken', 'The access token is invalid.');
  if (!context.keys.verifies(jwt))
    return refuse('InvalidAuthenticationToken', 'The access token validation failure: signature is invalid.');
  const { aud, exp, nbf, tid, oid, appid, xms_mirid } = jwt.claims;
  const seconds = context.now / 1000;
  if (typeof exp !== 'number' || seconds > exp + skewSeconds)
    return refuse('ExpiredAuthenticationToken', 'The access token expiry is in the past: the token has expired.');
  if (typeof nbf === 'number' && seconds < nbf - skewSeconds)
    return refuse('InvalidAuthenticationToken', 'The access token is not yet valid.');
  const { tenants, settings } = context.state.config;
  if (typeof aud !== 'string' || !settings.arm.audiences.includes(aud)) {
    const message = `The access token has been obtained for wrong audience or resource '${String(aud)}'. It should exactly match with one of the allowed audiences '${settings.arm.audiences.join("','")}'.`;
    return refuse('InvalidAuthenticationToken', message);
  }
  if (typeof tid !== 'string' || !tenants.some((tenant) => keyOf(tenant.id) === keyOf(tid))) {
    return refuse(
      'InvalidAuthenticationTokenTenant',
      `The access token is from the wrong issuer: tenant '${String(tid)}' is not the subscription's.`,
    );
  }
  if (typeof oid !== 'string' || typeof appid !== 'string')
    return refuse('InvalidAuthenticationToken', 'The access token has no object id or no app id.');
  return { objectId: oid, appId: appid, tenantId: tid, resourceId: typeof xms_mirid === 'string' ? xms_mirid : null };
}
