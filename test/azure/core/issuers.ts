// Public keys of issuers of federated assertions, fetched as Entra does: the discovery document of the issuer over https, then the keys that it names.
import type { KeyObject } from 'node:crypto';
import { request as httpsRequest } from 'node:https';
import { rootCertificates } from 'node:tls';
import { keyOfJwk } from './keys.ts';
import { isRecord, parseJson } from './messages.ts';

export type IssuerKey = { readonly kid: string | null; readonly key: KeyObject };

export type IssuerKeys = {
  /** Fetches the keys of an issuer unless one of this id is known. `url`: where its documents are, instead of its own address. */
  load(issuer: string, kid: string | null, url: string | null): Promise<void>;
  /** Null where the last fetch failed, or there was none. */
  keysOf(issuer: string): readonly IssuerKey[] | null;
  stop(): void;
};

const timeoutMs = 5000;
const longestDocument = 1024 * 1024;

/** `ca`: PEM certificates that are trusted besides the usual roots. `onFetched` is told how each fetch ended. */
export function createIssuerKeys({ ca, onFetched }: { ca: string | null; onFetched(what: string): void }): IssuerKeys {
  const known = new Map<string, readonly IssuerKey[] | null>();
  const fetching = new Map<string, Promise<void>>();
  const stopped = new AbortController();
  const trusted = ca === null ? {} : { ca: [...rootCertificates, ca] };

  function get(url: string): Promise<unknown> {
    const signal = AbortSignal.any([stopped.signal, AbortSignal.timeout(timeoutMs)]);
    return new Promise((resolve, reject) => {
      const refused = (why: string) => reject(new Error(`${url}: ${why}`));
      const sent = httpsRequest(url, { ...trusted, signal, agent: false }, (response) => {
        let text = '';
        response.setEncoding('utf8').on('error', reject);
        response.on('data', (part: string) => {
          text += part;
          if (text.length > longestDocument) response.destroy(new Error(`${url}: too long`));
        });
        response.on('end', () => {
          const document = parseJson(text);
          if (response.statusCode !== 200) refused(`HTTP ${response.statusCode}`);
          else if (document === undefined) refused('no JSON');
          else resolve(document);
        });
      });
      sent.on('error', reject);
      sent.end();
    });
  }

  async function fetchKeys(issuer: string, base: string): Promise<readonly IssuerKey[]> {
    if (!/^https:\/\//.test(base)) throw new Error(`${base} is no https address`);
    const document = await get(`${base.replace(/\/$/, '')}/.well-known/openid-configuration`);
    if (!isRecord(document) || document.issuer !== issuer) throw new Error('its document is of another issuer');
    const { jwks_uri: address } = document;
    if (typeof address !== 'string' || !/^https:\/\//.test(address)) throw new Error('its document names no https address of keys');
    const set = await get(address);
    const keys: readonly unknown[] = isRecord(set) && Array.isArray(set.keys) ? set.keys : [];
    return keys.flatMap((jwk) => {
      const key = keyOfJwk(jwk);
      return key === null ? [] : [{ kid: isRecord(jwk) && typeof jwk.kid === 'string' ? jwk.kid : null, key }];
    });
  }

  async function refresh(issuer: string, url: string | null): Promise<void> {
    try {
      const keys = await fetchKeys(issuer, url ?? issuer);
      known.set(issuer, keys);
      onFetched(`${keys.length} keys of issuer ${issuer} fetched`);
    } catch (error) {
      known.set(issuer, null);
      onFetched(`keys of issuer ${issuer} not fetched: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  return {
    async load(issuer, kid, url) {
      if (known.get(issuer)?.some((one) => one.kid === kid)) return;
      const running = fetching.get(issuer) ?? refresh(issuer, url).finally(() => fetching.delete(issuer));
      fetching.set(issuer, running);
      await running;
    },
    keysOf: (issuer) => known.get(issuer) ?? null,
    stop: () => stopped.abort(),
  };
}
