// The command that makes a federated credential of a managed identity by hand, for texts that users read. Pure.
import type { FederationResponse } from '../../../api/federation.ts';

const [subscriptionAt, groupAt, nameAt] = [2, 4, 8];

/** Options of `az identity` that name the identity of an ARM id. */
export function identityOptions(identityId: string): string {
  const parts = identityId.split('/');
  return `--identity-name ${parts[nameAt]} --resource-group ${parts[groupAt]} --subscription ${parts[subscriptionAt]}`;
}

/** For a shell. */
export const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

/** `name`: of the credential. */
export const createCommand = (identityId: string, name: string, { issuer, subject, audience }: FederationResponse): string =>
  `az identity federated-credential create --name ${name} ${identityOptions(identityId)} --issuer ${quoted(issuer)} --subject ${quoted(subject)} ` +
  `--audiences ${quoted(audience)}`;
