// Commands that users read when a person has to act. Pure.
import type { FederatedTrust } from '../azure/arm/federated-credentials.ts';

const [subscriptionAt, groupAt, nameAt] = [2, 4, 8];

function targetOf(identityId: string): string {
  const parts = identityId.split('/');
  return `--identity-name ${parts[nameAt]} --resource-group ${parts[groupAt]} --subscription ${parts[subscriptionAt]}`;
}

/** For a shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;

export const createCommand = (identityId: string, name: string, { issuer, subject, audiences }: FederatedTrust): string =>
  `az identity federated-credential create --name ${name} ${targetOf(identityId)} --issuer ${quoted(issuer)} --subject ${quoted(subject)} ` +
  `--audiences ${audiences.map(quoted).join(' ')}`;

export const deleteCommand = (identityId: string, name: string): string =>
  `az identity federated-credential delete --name ${name} ${targetOf(identityId)}`;

const actions = ['read', 'federatedIdentityCredentials/read', 'federatedIdentityCredentials/write', 'federatedIdentityCredentials/delete'];

export const grantCommand = (identityId: string): string =>
  `az role assignment create --role 'Managed Identity Contributor' --assignee <the controller's own identity> --scope ${identityId}, or a custom role ` +
  `with the actions ${actions.map((action) => `Microsoft.ManagedIdentity/userAssignedIdentities/${action}`).join(', ')}`;
