// CAs of certificates that others issue. The controller has no right to their Secrets: kubelet mounts tls.crt and ca.crt into its pod, and no key
// (docs/adr/0034-certificates-of-others.md).
import { readFileSync, unwatchFile, watchFile } from 'node:fs';
import path from 'node:path';
import { caBundleKey } from '../../api/names.ts';
import { joinCertificates, splitCertificates } from '../../lib/tls/ca-bundle.ts';
import type { CertificateSource } from '../../lib/tls/certificate-source.ts';
import { CertificateError, certificateError, checkLeaf } from '../../lib/tls/certificate-source.ts';
import { parseCertificates, tlsEntries } from '../../lib/tls/key-pair.ts';
import { isTrusted } from '../../lib/tls/trust.ts';

export interface ExternalCertificates {
  /** Has a folder for each server. */
  directory: string;
  /** PEM of the CAs; empty: those of ca.crt. */
  caBundle: string;
  servers: { webhook: CertificateSource; broker: CertificateSource };
}

/** `problem` says for people why there is no bundle. */
export type FoundBundle = { bundle: string; problem?: undefined } | { bundle?: undefined; problem: string };

/** A bundle that verifies the certificates of both servers. */
export function readExternal({ directory, caBundle, servers }: ExternalCertificates, now: Date): FoundBundle {
  try {
    const pems = Object.entries(servers).map(([server, source]) => {
      const read = (key: string) => readIfThere(path.join(directory, server, key));
      return authoritiesOf({ source, certificate: read(tlsEntries.certificate), ca: read(caBundleKey), caBundle, now });
    });
    return { bundle: joinCertificates(splitCertificates(pems.join('\n'))) };
  } catch (error) {
    if (error instanceof CertificateError) return { problem: error.message };
    throw error;
  }
}

/** Calls when one of the files changes, appears or goes; the returned function ends that. */
export function watchExternal({ directory, servers }: ExternalCertificates, onChange: () => void): () => void {
  const files = Object.keys(servers).flatMap((server) =>
    [tlsEntries.certificate, caBundleKey].map((key) => path.join(directory, server, key)),
  );
  // Kubelet exchanges a link above the files, so a watch of inodes would see nothing.
  for (const file of files) watchFile(file, { interval: 2_000, persistent: false }, onChange);
  return () => {
    for (const file of files) unwatchFile(file, onChange);
  };
}

interface ServerFiles {
  source: CertificateSource;
  certificate: string | undefined;
  ca: string | undefined;
  caBundle: string;
  now: Date;
}

/** PEM. Throws {@link CertificateError}. */
function authoritiesOf({ source, certificate, ca, caBundle, now }: ServerFiles): string {
  if (certificate === undefined)
    throw certificateError(source, `is missing, or has no ${tlsEntries.certificate} (kubelet mounts a new one within two minutes)`);
  const [leaf, ...intermediates] = parseCertificates(certificate);
  if (leaf === undefined) throw certificateError(source, `has no certificate in ${tlsEntries.certificate}`);
  checkLeaf(leaf, source, now);
  const pem = caBundle || ca;
  if (pem === undefined) throw certificateError(source, `has no ${caBundleKey}, and ${byValue} is not set`);
  const roots = parseCertificates(pem);
  const place = caBundle === '' ? caBundleKey : byValue;
  if (roots.length === 0) throw certificateError(source, `needs a CA, and ${place} holds no certificate in PEM`);
  if (!isTrusted([leaf, ...intermediates], roots, now))
    throw certificateError(source, `has a certificate in ${tlsEntries.certificate} that the CAs in ${place} do not verify`);
  return pem;
}

const byValue = 'certificates.provided.caBundle';

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    throw error;
  }
}
