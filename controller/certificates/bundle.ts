// What the ConfigMap with the CAs should hold. CAs that were published before stay for a while: leaves that they signed may still be served, also after
// certificates.mode changed (docs/adr/0034-certificates-of-others.md). Pure.
import { X509Certificate } from 'node:crypto';
import { caBundleKey, replacedAtKey, replacedBundleKey } from '../../api/names.ts';
import { joinCertificates, readBundle, splitCertificates } from '../../lib/tls/ca-bundle.ts';
import { leafLifeMs } from '../../lib/tls/issue.ts';

/** A sidecar has the bundle in its arguments, and an issuer may change its CA with every leaf. */
const maxReplaced = 4;

export interface BundleInput {
  /** Data of the ConfigMap. */
  stored: Readonly<Record<string, string>>;
  /** PEM of the CAs of now. */
  wanted: string;
  /** PEM of the CAs in the webhook's entries. Only these may stay: a writer of the ConfigMap alone adds no CA. */
  registered: string;
  now: Date;
}

export interface BundlePlan {
  data: Record<string, string>;
  drop: readonly string[];
}

/** Undefined where nothing is to be written. */
export function planBundle({ stored, wanted, registered, now }: BundleInput): BundlePlan | undefined {
  const current = splitCertificates(wanted);
  const replaced = replacedOf({ stored, wanted, registered, now });
  const earlier = splitCertificates(replaced?.bundle ?? '').filter((pem) => !current.includes(pem));
  const desired = {
    [caBundleKey]: earlier.length === 0 ? wanted : joinCertificates([...current, ...earlier]),
    ...(replaced === undefined ? {} : { [replacedBundleKey]: replaced.bundle, [replacedAtKey]: replaced.at.toISOString() }),
  };
  const drop = [replacedBundleKey, replacedAtKey].filter((key) => Object.hasOwn(stored, key) && !Object.hasOwn(desired, key));
  const isRight = drop.length === 0 && Object.entries(desired).every(([key, value]) => stored[key] === value);
  return isRight ? undefined : { data: desired, drop };
}

/** The bundle that the one of now replaces, while leaves of its CAs may be served. */
function replacedOf({ stored, wanted, registered, now }: BundleInput): { bundle: string; at: Date } | undefined {
  const known = splitCertificates(registered);
  const mayStay = (pem: string) => known.includes(pem) && new X509Certificate(pem).validToDate > now;
  const before = readBundle(stored);
  const published = splitCertificates(before?.bundle ?? '').filter(mayStay);
  const current = splitCertificates(wanted);
  const earlier = splitCertificates(before?.replaced?.bundle ?? '');
  const isAdded = current.some((pem) => !published.includes(pem));
  const isRemoved = published.some((pem) => !current.includes(pem) && !earlier.includes(pem));
  const kept = isAdded || isRemoved ? published.slice(0, current.length + maxReplaced) : earlier.filter(mayStay);
  const at = isAdded || isRemoved ? now : before?.replaced?.at;
  if (at === undefined || kept.length === 0 || at.getTime() + leafLifeMs <= now.getTime()) return undefined;
  return { bundle: joinCertificates(kept), at };
}
