// The claims of an app-only access token in the v1 format, which ARM and most resources get.
import { guidOf } from './random.ts';

export type TokenSubject = {
  readonly objectId: string;
  readonly appId: string;
  readonly tenantId: string;
  /** The ARM resource a managed identity is; null for an app registration. */
  readonly resourceId: string | null;
  /** The machine or scale set whose IMDS gives the token; null where Entra gives it. */
  readonly machineId: string | null;
  /** `1` secret, `2` certificate or assertion, as in the claim `appidacr`. */
  readonly proof: '1' | '2';
};

/** The issuer of these tokens, whichever endpoint handed them out. */
export const issuerOf = (tenantId: string): string => `https://sts.windows.net/${tenantId}/`;

/** Times in seconds since the epoch. `serial` keeps two tokens of one second apart. */
export function accessClaims(
  subject: TokenSubject,
  audience: string,
  times: { issued: number; expires: number },
  serial: number,
): Record<string, unknown> {
  const { objectId, appId, tenantId, resourceId, machineId, proof } = subject;
  return {
    aud: audience,
    iss: issuerOf(tenantId),
    iat: times.issued,
    nbf: times.issued,
    exp: times.expires,
    appid: appId,
    appidacr: proof,
    idp: issuerOf(tenantId),
    idtyp: 'app',
    oid: objectId,
    sub: objectId,
    tid: tenantId,
    uti: guidOf(`token ${serial} ${objectId}`).replaceAll('-', '').slice(0, 22),
    ver: '1.0',
    ...(machineId === null ? {} : { xms_az_rid: machineId }),
    ...(resourceId === null ? {} : { xms_mirid: resourceId }),
  };
}
