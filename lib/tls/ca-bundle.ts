// The ConfigMap with the CAs that clients of webhook and broker trust. The controller writes it. Pure.
import { caBundleKey, replacedAtKey, replacedBundleKey } from '../../api/names.ts';
import { parseCertificates } from './key-pair.ts';

export interface PublishedBundle {
  /** PEM of every CA to trust. */
  bundle: string;
  /** What was published before CAs were added last; absent once that is long ago. */
  replaced?: { bundle: string; at: Date };
}

/** Every client has a new CA after so long. Sidecars with a connection get it at once, kubelet renews mounted files within two minutes. */
const learnMs = 5 * 60_000;

/** From the data of the ConfigMap; undefined where it has no certificate. */
export function readBundle(data: Readonly<Record<string, string>>): PublishedBundle | undefined {
  const { [caBundleKey]: bundle, [replacedBundleKey]: before, [replacedAtKey]: text } = data;
  if (bundle === undefined || parseCertificates(bundle).length === 0) return undefined;
  const at = new Date(text ?? '');
  return { bundle, ...(before === undefined || Number.isNaN(at.getTime()) ? {} : { replaced: { bundle: before, at } }) };
}

/** Milliseconds until every client knows all CAs of the bundle; 0 where they do. */
export function msUntilKnown({ replaced }: PublishedBundle, now: Date): number {
  return replaced === undefined ? 0 : Math.min(learnMs, Math.max(0, replaced.at.getTime() + learnMs - now.getTime()));
}

/** Bundles that some client may have now. */
export function bundlesOfClients(published: PublishedBundle, now: Date): string[] {
  const { bundle, replaced } = published;
  return replaced !== undefined && msUntilKnown(published, now) > 0 ? [bundle, replaced.bundle] : [bundle];
}

export const joinCertificates = (certificates: Iterable<string>): string => [...certificates].map((pem) => `${pem.trim()}\n`).join('');

/** PEM of each certificate of a text, without doubles. */
export const splitCertificates = (pem: string): string[] => [
  ...new Set(parseCertificates(pem).map((certificate) => certificate.toString())),
];
