import type { TokenResponse } from '../api/broker.ts';
import type { ApplicationToken } from '../lib/azure/auth/application-token.ts';

export interface ObtainedToken extends ApplicationToken {
  /** Wall time, ms. */
  readonly obtainedAt: number;
}

/** The shape of IMDS. `now` is wall time, ms. */
export function tokenResponse(
  { accessToken, expiresOn, obtainedAt }: ObtainedToken,
  { clientId, resource, now }: { clientId: string; resource: string; now: number },
): TokenResponse {
  const seconds = (ms: number) => String(Math.floor(ms / 1000));
  const left = seconds(Math.max(0, expiresOn.getTime() - now));
  return {
    access_token: accessToken,
    client_id: clientId,
    expires_in: left,
    expires_on: seconds(expiresOn.getTime()),
    ext_expires_in: left,
    not_before: seconds(obtainedAt),
    resource,
    token_type: 'Bearer',
  };
}
