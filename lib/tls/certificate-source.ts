// Where a serving certificate comes from, and what is wrong with it. Texts name the Secret, its key and what to change. Pure.
import type { X509Certificate } from 'node:crypto';
import { tlsEntries } from './key-pair.ts';
import { isValidAt } from './trust.ts';

export const certificateModes = ['self-signed', 'cert-manager', 'provided'] as const;
/** Who issues the certificates: this system, cert-manager, or somebody else (docs/adr/0034-certificates-of-others.md). */
export type CertificateMode = (typeof certificateModes)[number];

export interface CertificateSource {
  mode: CertificateMode;
  /** Of the release. */
  namespace: string;
  /** Name of the Secret. */
  secret: string;
  /** The chart value with this name in mode `provided`. */
  chartValue: string;
  /** Under which name clients verify the server. */
  dnsName: string;
}

/** One line for people. */
export class CertificateError extends Error {
  override readonly name = 'CertificateError';
  readonly code = 'certificate_refused';
}

const remedies: Record<CertificateMode, (source: CertificateSource) => string> = {
  'self-signed': () => 'the controller issues it: kubectl logs deployment/aad-pod-identity-controller',
  'cert-manager': ({ namespace }) => `cert-manager issues it: kubectl describe certificates -n ${namespace}`,
  provided: ({ chartValue }) => `correct the Secret, or name another one by ${chartValue}`,
};

/** `problem` is about the Secret, such as `has no tls.key`. */
export const certificateError = (source: CertificateSource, problem: string): CertificateError =>
  new CertificateError(`Secret ${source.namespace}/${source.secret} ${problem}: ${remedies[source.mode](source)}`);

/** Throws {@link CertificateError} for a certificate that no client takes, whatever it trusts. */
export function checkLeaf(leaf: X509Certificate, source: CertificateSource, now: Date): void {
  if (!isValidAt(leaf, now)) {
    const [state, date] = now < leaf.validFromDate ? ['not valid before', leaf.validFromDate] : ['expired since', leaf.validToDate];
    throw certificateError(source, `has a certificate in ${tlsEntries.certificate} that is ${state} ${date.toISOString()}`);
  }
  // The controller issues for the Services of its own settings.
  if (source.mode !== 'self-signed' && leaf.checkHost(source.dnsName) === undefined)
    throw certificateError(
      source,
      `has a certificate in ${tlsEntries.certificate} for ${leaf.subjectAltName ?? 'no name'}, which must be for DNS:${source.dnsName}`,
    );
}
