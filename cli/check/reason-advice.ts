// What to do about each reason that the controller writes on an AzureAssignedIdentity. Its message has the names.
import type { Identity } from '../../lib/identities/identity.ts';
import type { AssignmentReason } from '../../lib/identities/reasons.ts';

interface Advice {
  advice: string;
  command?: (identity: Identity) => string;
}

const edit = ({ name, namespace }: Identity): string => `kubectl edit azureidentity ${name} -n ${namespace}`;
const showIdentity = ({ resourceID }: Identity): string => `az identity show --ids ${resourceID}`;

export const reasonAdvice: Record<AssignmentReason, Advice> = {
  IdentityNotAllowed: { advice: 'Ask the platform team to allow it in identityPolicy, or use an identity that your namespace may use.' },
  InvalidResourceID: { advice: 'Correct spec.resourceID: az identity show prints it as id.', command: edit },
  UnknownType: { advice: 'Set spec.type to 0, 1, 2 or 3.', command: edit },
  UnsupportedNode: { advice: 'Run the pod on a node of a scale set or VM that azureScopes allows, or federate the identity.' },
  ClientIDMismatch: { advice: 'Set spec.clientID to the client id of the identity that spec.resourceID names.', command: showIdentity },
  IdentityNotFound: { advice: 'Correct spec.resourceID, or make the identity in Azure.', command: showIdentity },
  MissingRole: { advice: 'Grant the role that the message names to the identity that the controller signs in with.' },
  DenyAssignment: { advice: 'Have the owner of the deny assignment leave out the controller: a role does not help.' },
  ScopeLocked: { advice: 'Remove the lock on the resource group or the scale set.' },
  PolicyDenied: { advice: 'Change the Azure Policy that the message names, or exempt the scale set from it.' },
  QuotaExceeded: { advice: 'Use fewer identities on this scale set, or federate them.' },
  ForeignIdentityBroken: { advice: 'Detach the identity that the message names: it is on the scale set, gone in Azure, and not ours.' },
  FederatedCredentialLimit: { advice: 'Delete credentials that nobody needs: an identity has 20 at most.', command: listCredentials },
  FederatedCredentialMissing: { advice: 'Create the credential: the message has the command.', command: listCredentials },
  FederationRefused: { advice: 'The message of Entra says what does not agree.', command: listCredentials },
  FederationUnsupported: { advice: 'Make the identity in a region that has federated credentials, or attach it.' },
  IssuerNotPublic: {
    advice: 'Entra must reach the OIDC issuer of the cluster: enable the OIDC issuer of AKS, or publish the keys.',
    command: issuer,
  },
  ImdsRestricted: { advice: 'Federate the identity, or switch the IMDS restriction of AKS off.', command: federate },
  ScopePaused: { advice: 'Remove `paused` from the record of the scale set.' },
  Attaching: { advice: 'Wait: Azure changes the scale set, which takes up to a minute, and longer for many VMs.' },
  Throttled: { advice: 'Wait: the controller tries again by itself. If it lasts, see what else calls Azure for the same scale set.' },
  AzureError: { advice: "Wait: the controller tries again by itself. If it lasts, the message is Azure's." },
  WaitingForNode: { advice: 'Wait until the cloud provider has set the providerID of the node.' },
  Federating: { advice: 'Wait: a new credential takes up to two minutes to be known everywhere in Entra.' },
  IssuerUnreachable: { advice: 'See whether the OIDC issuer of the cluster answers.', command: issuer },
  BrokerUnavailable: { advice: 'See what is wrong with the broker.', command: () => 'kubectl aad-pod-identity check' },
};

function listCredentials({ resourceID }: Identity): string {
  const [, , , , group, , , , name] = resourceID.split('/');
  return `az identity federated-credential list --identity-name ${name} --resource-group ${group}`;
}

function issuer(): string {
  return 'kubectl get --raw /.well-known/openid-configuration';
}

function federate({ name, namespace }: Identity): string {
  return `kubectl annotate azureidentity ${name} -n ${namespace} aadpodidentity.k8s.io/assignment=federate`;
}

export const isAssignmentReason = (reason: string): reason is AssignmentReason => Object.hasOwn(reasonAdvice, reason);
