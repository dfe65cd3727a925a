import type { Clock } from '../../../common/clock.ts';
import type { AccessToken, TokenCredential } from './access-token.ts';
import { SignInError } from './access-token.ts';

type Acquire = (scopes: string[], claims: string | undefined) => Promise<AccessToken>;

const firstBackoffMs = 1000;
const longestBackoffMs = 60_000;

/**
 * Callers share one request, and after a failure none is sent for a while: many scopes that fail together would look like a looping client to Entra
 * (AADSTS50196, docs/reference/entra.md). Callers get an error with the rest of that time.
 */
export function singleFlight(acquire: Acquire, clock: Clock): TokenCredential {
  let inFlight: { key: string; token: Promise<AccessToken> } | undefined;
  let failed: { error: SignInError; until: number } | undefined;
  let backoffMs = firstBackoffMs;

  async function attempt(scopes: string[], claims: string | undefined): Promise<AccessToken> {
    try {
      const token = await acquire(scopes, claims);
      failed = undefined;
      backoffMs = firstBackoffMs;
      return token;
    } catch (thrown) {
      const error = thrown instanceof SignInError ? thrown : new SignInError(thrown instanceof Error ? thrown.message : String(thrown));
      failed = { error, until: clock.now() + Math.max(backoffMs, (error.retryAfterSeconds ?? 0) * 1000) };
      backoffMs = Math.min(longestBackoffMs, backoffMs * 2);
      throw error;
    }
  }

  return {
    getToken(scopes, options = {}) {
      const list = typeof scopes === 'string' ? [scopes] : scopes;
      const key = JSON.stringify([list, options.claims]);
      if (inFlight?.key === key) return inFlight.token;
      const left = failed === undefined ? 0 : failed.until - clock.now();
      if (failed !== undefined && left > 0) return Promise.reject(new SignInError(failed.error.message, Math.ceil(left / 1000)));
      const token = attempt(list, options.claims).finally(() => {
        if (inFlight?.token === token) inFlight = undefined;
      });
      inFlight = { key, token };
      return token;
    },
  };
}
