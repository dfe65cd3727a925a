import type { Code } from '../codes.ts';

/** What is wrong where the API server could not call the webhook. `otherwise`: where its text is not about a certificate. */
export function callFailureOf(text: string, otherwise: Code): Code {
  // Go says "expired or is not yet valid" for both, and then which.
  if (/certificate has expired/.test(text))
    return /current time \S+ is before/.test(text) ? 'CertificateNotYetValid' : 'CertificateExpired';
  return /x509|certificate/.test(text) ? 'CaBundleWrong' : otherwise;
}
