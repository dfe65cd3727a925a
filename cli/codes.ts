// The stable codes of what can be wrong. docs/troubleshooting.md has a paragraph for each; a test compares both lists.
import type { AssignmentReason } from '../lib/identities/reasons.ts';

const installationCodes = [
  'ApiServerUnreachable',
  'KubernetesTooOld',
  'NotInstalled',
  'CrdsMissing',
  'CrdsOld',
  'WebhookNotRegistered',
  'WebhookDown',
  'WebhookBlocked',
  'CertificateExpired',
  'CaBundleWrong',
  'NoLeader',
  'StatusOld',
  'SignInFailed',
  'ResourceManagerUnreachable',
  'Quarantined',
  'BrokerDown',
  'UpstreamControllerRuns',
  'OtherReleaseRuns',
  'NodeAgentRuns',
  'SidecarsOld',
] as const;

const podCodes = [
  'PodNotFound',
  'PodRefused',
  'RefusedByGuard',
  'RefusedByPolicy',
  'NotLabelled',
  'LabelOnOwnerOnly',
  'LabelEmpty',
  'NamespaceExcluded',
  'OptedOut',
  'Excepted',
  'StaticPod',
  'WindowsPod',
  'HostNetwork',
  'OlderThanInstall',
  'NotInjected',
  'NotScheduled',
  'Starting',
  'InitFailed',
  'SidecarNotRunning',
  'BindingMissing',
  'BindingElsewhere',
  'IdentityMissing',
  'AssignmentMissing',
  'AssignmentPending',
  'BrokerUnreachable',
  'BrokerBlocked',
  'BrokerMoved',
  'SidecarUnreachable',
  'IdentityRevoked',
  'TokenRefused',
  'RightMissing',
  'ReadFailed',
] as const;

export const ownCodes = [...installationCodes, ...podCodes] as const;

/** Beside our own there are the reasons that the controller writes on an AzureAssignedIdentity: docs/troubleshooting.md. */
export type Code = (typeof ownCodes)[number] | AssignmentReason;
