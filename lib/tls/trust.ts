import type { X509Certificate } from 'node:crypto';

/** Whether the certificate counts at this time. */
export const isValidAt = ({ validFromDate, validToDate }: X509Certificate, now: Date): boolean =>
  validFromDate <= now && now <= validToDate;

/** True where a client that trusts only `roots` accepts the chain at this time, as the API server does with the caBundle. */
export function isTrusted(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: Date): boolean {
  const issued = (child: X509Certificate, parent: X509Certificate) => child.checkIssued(parent) && child.verify(parent.publicKey);
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined || !isValidAt(leaf, now)) return false;
  let end = leaf;
  const left = new Set(intermediates.filter((certificate) => isValidAt(certificate, now)));
  for (;;) {
    const last = end;
    if (roots.some((root) => isValidAt(root, now) && (root.raw.equals(last.raw) || issued(last, root)))) return true;
    const parent = [...left].find((candidate) => issued(last, candidate));
    if (parent === undefined) return false;
    left.delete(parent);
    end = parent;
  }
}
