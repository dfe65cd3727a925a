// What Azure endpoints are trusted by besides the default roots: the CAs of --azure-ca-file, for Azure Stack, a proxy that inspects TLS, or the emulator
// (docs/adr/0038-cas-for-azure-in-the-default-store.md).
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { SettingsError } from '../settings.ts';
import { readSettingsFile } from '../settings-file.ts';
import { splitCertificates } from '../tls/ca-bundle.ts';

/** Trusts these CAs, in PEM, wherever this process connects without CAs of its own, which is towards Azure. */
export function trustAlso(...certificates: string[]): void {
  setDefaultCACertificates([...getCACertificates('default'), ...certificates]);
}

/** Trusts the CAs of `--azure-ca-file`; '' names none. Throws {@link SettingsError}. */
export function trustCaFile(file: string): void {
  if (file === '') return;
  const certificates = splitCertificates(readSettingsFile('--azure-ca-file', file));
  if (certificates.length === 0)
    throw new SettingsError(`--azure-ca-file is '${file}', which has no certificate: accepted is a file of CA certificates in PEM`);
  trustAlso(...certificates);
}
