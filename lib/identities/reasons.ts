// Every reason that users read: the annotation `reason` of an AzureAssignedIdentity, the start of `reason` of a broker row, the reason of an Event.

/**
 * A person must act: correct an object, grant a role, unlock a group. The controller still retries what it got from Azure, and so notices when that
 * has happened. The sidecar does not wait for it: it answers "Identity not found" with the reason.
 */
const terminalReasons = [
  'IdentityNotAllowed',
  'InvalidResourceID',
  'UnknownType',
  'UnsupportedNode',
  'ClientIDMismatch',
  'IdentityNotFound',
  'MissingRole',
  'DenyAssignment',
  'ScopeLocked',
  'PolicyDenied',
  'QuotaExceeded',
  'ForeignIdentityBroken',
  'FederatedCredentialLimit',
  'FederatedCredentialMissing',
  'FederationRefused',
  'FederationUnsupported',
  'IssuerNotPublic',
  'ImdsRestricted',
] as const;

/** The assignment goes on by itself or, where somebody paused the scope, when they end the pause. The sidecar waits for it. */
const passingReasons = [
  'ScopePaused',
  'Attaching',
  'Throttled',
  'AzureError',
  'WaitingForNode',
  'Federating',
  'IssuerUnreachable',
  'BrokerUnavailable',
] as const;

/** Why an identity is not assigned. An Event on the pod has it too. */
export type AssignmentReason = (typeof terminalReasons)[number] | (typeof passingReasons)[number];

/** The reasons with spaces are those of aad-pod-identity: docs/reference/aad-pod-identity.md. */
type BindingEventReason = 'binding applied' | 'binding apply error' | 'binding removed' | 'binding remove error' | 'ForeignBindingLimit';
/** `RuntimeException` is on the AzurePodIdentityException too. */
type PodEventReason = 'Attached' | 'Excepted' | 'NoBinding' | 'NotInjected' | 'RuntimeException';
/** On a workload: its pods do not get the label that it has. */
type WorkloadEventReason = 'LabelNotInTemplate';
/** Why the broker mints no token for an identity. */
export type InvalidIdentityReason =
  | 'InvalidFederatedIdentity'
  | 'InvalidServicePrincipal'
  | 'CrossNamespaceSecret'
  | 'IdentityNotAllowed'
  | 'SecretForbidden';
/** Another controller that writes the same objects. */
export type ConflictReason = 'OtherReleaseRuns' | 'UpstreamControllerRuns';
/** Whether the API server calls the webhook. */
export type RegistrationReason = 'WebhookRegistered' | 'WebhookConfigurationMissing';

/** Whether what the release counts on is in the cluster. */
export type InstallationReason = 'ObjectsMissing' | 'CrdsOutdated' | 'CrdsMissing';

/** On a namespace: which of its pods no guard covers, and why its guard does not work as its label says. */
type NamespaceEventReason = 'UnguardedPods' | 'GuardMisconfigured';

/**
 * On an AzureIdentity: another one attaches the Azure identity that this one federates; its annotation `assignment` does not count. On the broker's
 * Service: the namespace is one where many may create pods with its service account.
 */
type FederationEventReason = 'StillAttached' | 'AssignmentIgnored' | 'FederationFromDefault';

export type EventReason =
  | AssignmentReason
  | BindingEventReason
  | PodEventReason
  | WorkloadEventReason
  | InvalidIdentityReason
  | ConflictReason
  | RegistrationReason
  | InstallationReason
  | NamespaceEventReason
  | FederationEventReason
  | 'Federated'
  | 'Quarantined'
  | 'status update error';

export const isTerminal = (reason: string | undefined): boolean => terminalReasons.some((terminal) => terminal === reason);

export const isAssignmentReason = (text: string): boolean => [...terminalReasons, ...passingReasons].some((reason) => reason === text);

/** As broker rows and the broker's errors give them. */
export const reasonWithMessage = (reason: AssignmentReason, message: string): string => `${reason}: ${message}`;
