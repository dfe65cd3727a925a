import type { X509Certificate } from 'node:crypto';

/** True where a client that trusts only `roots` accepts the chain at this time, as the API server does with the caBundle. */
export function isTrusted(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: Date): boolean {
  const valid = (certificate: X509Certificate) => new Date(certificate.validFrom) <= now && now <= new Date(certificate.validTo);
  const issued = (child: X509Certificate, parent: X509Certificate) => child.checkIssued(parent) && child.verify(parent.publicKey);
  const [leaf, ...intermediates] = chain;
  if (leaf === undefined || !valid(leaf)) return false;
  let end = leaf;
  const left = new Set(intermediates.filter(valid));
  for (;;) {
    const last = end;
    if (roots.some((root) => valid(root) && (root.raw.equals(last.raw) || issued(last, root)))) return true;
    const parent = [...left].find((candidate) => issued(last, candidate));
    if (parent === undefined) return false;
    left.delete(parent);
    end = parent;
  }
}
