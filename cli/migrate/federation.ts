// `--federate`: what federates each AzureIdentity, or why it cannot be. Pure.
import { annotations, brokerServiceName } from '../../api/names.ts';
import { createCommand } from '../../lib/identities/federation/create-command.ts';
import { credentialNameOf } from '../../lib/identities/federation/credential-name.ts';
import type { Identity } from '../../lib/identities/identity.ts';
import { federationAudience } from '../../lib/shared-settings.ts';
import type { Code } from '../codes.ts';

export interface FederateOptions {
  /** Without it nobody but the user makes federated credentials: federation.manageCredentials of the chart. */
  manageCredentials: boolean;
  /** Of the cluster's service account tokens. */
  issuer: string;
  /** Of our release. */
  releaseNamespace: string;
}

export type FederatedIdentity = { readonly identity: string } & (
  | { readonly commands: readonly string[] }
  | { readonly code: Code; readonly message: string }
);

/** Stands for an issuer that only the cluster knows. */
export const unknownIssuer = '<issuer of the cluster>';

export function federationOf(identities: readonly Identity[], options: FederateOptions): FederatedIdentity[] {
  return identities.map((identity) => ({ identity: identity.key, ...federate(identity, options) }));
}

/** Why an identity cannot be federated; undefined where it can. */
export function notFederable({ type, identityId, resourceID }: Identity): { code: Code; message: string } | undefined {
  if (type === undefined) return { code: 'UnknownType', message: 'its spec.type is unknown' };
  if (type !== 0) return { code: 'NotFederable', message: `it is of type ${type}: only user-assigned identities (type 0) are federated` };
  return identityId === undefined
    ? { code: 'InvalidResourceID', message: `its spec.resourceID '${resourceID}' names no user-assigned identity` }
    : undefined;
}

function federate(
  identity: Identity,
  { manageCredentials, issuer, releaseNamespace }: FederateOptions,
): { commands: string[] } | { code: Code; message: string } {
  const why = notFederable(identity);
  if (why !== undefined || identity.identityId === undefined) return why ?? { code: 'InvalidResourceID', message: '' };
  const trust = {
    issuer,
    subject: `system:serviceaccount:${releaseNamespace}:${brokerServiceName}`,
    audience: federationAudience.fallback ?? '',
  };
  const annotate = `kubectl annotate azureidentity ${identity.name} -n ${identity.namespace} ${annotations.assignment}=federate --overwrite`;
  return { commands: [...(manageCredentials ? [] : [createCommand(identity.identityId, credentialNameOf(trust), trust)]), annotate] };
}
