// Commands that users read when a person has to act. Pure.
import { identityOptions } from '../../lib/identities/federation/create-command.ts';

export const deleteCommand = (identityId: string, name: string): string =>
  `az identity federated-credential delete --name ${name} ${identityOptions(identityId)}`;

const actions = ['read', 'federatedIdentityCredentials/read', 'federatedIdentityCredentials/write', 'federatedIdentityCredentials/delete'];

export const grantCommand = (identityId: string): string =>
  `az role assignment create --role 'Managed Identity Contributor' --assignee <the controller's own identity> --scope ${identityId}, or a custom role ` +
  `with the actions ${actions.map((action) => `Microsoft.ManagedIdentity/userAssignedIdentities/${action}`).join(', ')}`;
