// Which certificate a server serves while its Secret and its clients' CAs change: a new one as soon as every client knows its CA, so that no change
// fails a connection (docs/adr/0034-certificates-of-others.md). No I/O.
import { caBundleConfigMapName } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { Logger } from '../log.ts';
import type { PublishedBundle } from './ca-bundle.ts';
import { bundlesOfClients, msUntilKnown } from './ca-bundle.ts';
import type { CertificateSource } from './certificate-source.ts';
import { certificateError, checkLeaf } from './certificate-source.ts';
import type { CheckedKeyPair } from './key-pair.ts';
import { KeyPairError, parseCertificates, parseKeyPair } from './key-pair.ts';
import { isTrusted } from './trust.ts';

export interface Rollover {
  /** Undefined before the first good Secret. */
  readonly served: CheckedKeyPair | undefined;
  readonly published: PublishedBundle | undefined;
  /** Why no client would take the certificate that is served now, in one line; undefined where all is well. */
  readonly problem: string | undefined;
  /** The Secret was looked for and is not there. */
  secretMissing(): void;
  /** With the decoded data. */
  secretChanged(data: Readonly<Record<string, string>>): void;
  bundleChanged(published: PublishedBundle): void;
  /** After `otherBundles` would answer something else. */
  otherBundlesChanged(): void;
  stop(): void;
}

export interface RolloverOptions {
  log: Logger;
  clock: Clock;
  source: CertificateSource;
  /** PEM of what clients trust that do not read the ConfigMap. */
  otherBundles(): readonly string[];
  /** Called after another certificate is served, and after the bundle changed. */
  onChange(): void;
}

export function createRollover({ log, clock, source, otherBundles, onChange }: RolloverOptions): Rollover {
  /** The newest good pair. */
  let newest: CheckedKeyPair | undefined;
  let served: CheckedKeyPair | undefined;
  let published: PublishedBundle | undefined;
  /** Why the Secret as it is now was refused. */
  let refusal: string | undefined;
  let cancelTimer = () => {};
  const missingSecret = certificateError(source, 'does not exist').message;

  const now = () => new Date(clock.wall());
  const isTrustedBy = ({ chain }: CheckedKeyPair, pems: readonly string[]) =>
    pems.every((pem) => isTrusted(chain, parseCertificates(pem), now()));

  /** True where another pair is served from now on. */
  function serveNewest(): boolean {
    cancelTimer();
    if (newest === undefined || newest === served) return false;
    const ofClients = [...(published === undefined ? [] : bundlesOfClients(published, now())), ...otherBundles()];
    // A pair that some client refuses anyway is not worth keeping.
    if (served === undefined || isTrustedBy(newest, ofClients) || !isTrustedBy(served, ofClients)) {
      served = newest;
      return true;
    }
    const waitMs = published === undefined ? 0 : msUntilKnown(published, now());
    log.info({ secret: source.secret, waitMs }, 'new serving certificate waits until clients know its CA');
    if (waitMs > 0) cancelTimer = clock.after(waitMs, updated);
    return false;
  }
  function updated(): void {
    if (serveNewest()) onChange();
  }

  return {
    get served() {
      return served;
    },
    get published() {
      return published;
    },
    get problem() {
      if (served === undefined) return refusal ?? missingSecret;
      if (published === undefined) return noBundle;
      const { chain } = served;
      const expired = refusalOf(() => checkLeaf(chain[0], source, now()));
      if (expired !== undefined) return refusal ?? expired;
      return isTrustedBy(served, [published.bundle]) ? undefined : certificateError(source, notVerified(source)).message;
    },
    secretMissing() {
      // At an install the controller makes its own a moment later.
      const level = source.mode === 'self-signed' ? 'info' : 'error';
      log[level]({ secret: source.secret, error: missingSecret }, 'no serving certificate');
    },
    secretChanged(data) {
      refusal = refusalOf(() => {
        newest = readKeyPair(data, source, now());
      });
      if (refusal === undefined) updated();
      else log.error({ secret: source.secret, error: refusal, previousInUse: served !== undefined }, 'serving certificate refused');
    },
    bundleChanged(bundle) {
      published = bundle;
      serveNewest();
      onChange();
    },
    otherBundlesChanged: updated,
    stop: () => cancelTimer(),
  };
}

const noBundle =
  'no CA bundle for clients: the controller has not published one yet, and its leader says why (kubectl logs deployment/aad-pod-identity-controller)';

const notVerified = ({ namespace }: CertificateSource): string =>
  `has a certificate in tls.crt that the CAs of ConfigMap ${namespace}/${caBundleConfigMapName} do not verify`;

function readKeyPair(data: Readonly<Record<string, string>>, source: CertificateSource, now: Date): CheckedKeyPair {
  try {
    const pair = parseKeyPair(data);
    checkLeaf(pair.chain[0], source, now);
    return pair;
  } catch (error) {
    throw error instanceof KeyPairError ? certificateError(source, `cannot be used, since ${error.message}`) : error;
  }
}

function refusalOf(check: () => void): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
