// What Azure's errors about the federated credentials of an identity mean, as one table like that of refusals.ts. Pure.
// docs/reference/arm.md#errors-of-federated-credentials has the same table; a test compares both.

import type { AssignmentReason } from '../../../lib/identities/reasons.ts';
import type { ErrorFacts, Recognition } from './refusals.ts';
import { firstRecognised, refusals } from './refusals.ts';

/** When a call that failed so is made again. */
export type FederationRetry =
  /** Retry-After, or the time in the text. */
  | 'when Azure says'
  /** At random, so that two writers do not meet again. */
  | '5 to 30 s'
  /** Doubled with each failure in a row. Retry-After wins where Azure sends it. */
  | '0.5 s to 1 min'
  /** Doubled with each failure in a row: a person must act, or Azure does not allow it at all. */
  | '1 min to 1 h';

export interface FederationRefusal {
  /** One is enough. Empty: no answer of Azure is recognised as this; the client finds it out itself. */
  readonly when: readonly Recognition[];
  readonly reason: AssignmentReason;
  readonly retry: FederationRetry;
  /** What a person is to do. `<action>` comes from Azure's text. */
  readonly advice?: string;
}

/** Azure's limit of federated credentials of one identity. */
export const credentialLimit = 20;

/** The first entry that recognises an error decides. The keys are the `code` of the log. */
export const federationRefusals = {
  // Of the moment.
  throttled: { when: refusals.throttled.when, reason: 'Throttled', retry: 'when Azure says' },
  otherTenant: {
    when: [{ status: 401, codes: ['InvalidAuthenticationTokenTenant'] }],
    reason: 'IdentityNotFound',
    retry: '1 min to 1 h',
    advice: "the identity's subscription belongs to another tenant than the controller's own sign-in",
  },
  unauthorized: { when: [{ status: 401 }], reason: 'AzureError', retry: '0.5 s to 1 min' },
  concurrentWrite: {
    when: [{ codes: ['ConcurrentFederatedIdentityCredentialsWrites*'], texts: ['written concurrently'] }],
    reason: 'Federating',
    retry: '5 to 30 s',
  },
  combinationExists: {
    when: [{ texts: ['issuer and subject combination already exists'] }],
    reason: 'Federating',
    retry: '5 to 30 s',
  },

  // Until a person acts.
  denyAssignment: {
    when: [{ codes: ['*DenyAssignment*'], texts: ['deny assignment'] }],
    reason: 'DenyAssignment',
    retry: '1 min to 1 h',
    advice: 'a deny assignment on the identity or its group forbids it, and no role helps',
  },
  policyDenied: {
    when: [{ codes: ['RequestDisallowedBy*'], texts: ['disallowed by policy', 'disallowed by one or more policies'] }],
    reason: 'PolicyDenied',
    retry: '1 min to 1 h',
    advice: 'an Azure Policy forbids this federated credential: allow its issuer there, or exempt the identity',
  },
  missingRole: {
    when: [{ codes: ['*AuthorizationFailed'] }],
    reason: 'MissingRole',
    retry: '1 min to 1 h',
    advice: 'grant the controller a role with the action <action> on the identity, such as Managed Identity Contributor',
  },
  forbidden: {
    when: [{ status: 403 }],
    reason: 'AzureError',
    retry: '1 min to 1 h',
    advice: 'Azure forbids the call for a reason that is not known here',
  },
  identityNotFound: {
    when: [{ status: 404 }, { codes: ['*ResourceNotFound', 'ResourceGroupNotFound', 'SubscriptionNotFound'] }],
    reason: 'IdentityNotFound',
    retry: '1 min to 1 h',
    advice: 'Azure knows no such identity: make it there, or correct spec.resourceID of the AzureIdentity',
  },
  scopeLocked: {
    when: [{ codes: ['*ScopeLocked'], texts: ['scope(s) are locked', 'or its parent is locked'] }],
    reason: 'ScopeLocked',
    retry: '1 min to 1 h',
    advice: 'a lock forbids changes of the identity: remove the lock, which may be on its resource group or subscription',
  },
  subscriptionDisabled: {
    when: [{ codes: ['ReadOnlyDisabledSubscription'], texts: ['is disabled and therefore marked as read only'] }],
    reason: 'ScopeLocked',
    retry: '1 min to 1 h',
    advice: 'the subscription of the identity is disabled, which makes it read-only: enable it again',
  },
  limitReached: {
    when: [{ codes: ['*LimitExceeded*', '*LimitReached*', '*QuotaExceeded*'], texts: ['maximum of 20', 'maximum number', 'limit of 20'] }],
    reason: 'FederatedCredentialLimit',
    retry: '1 min to 1 h',
    advice: `an identity can have ${credentialLimit} federated credentials: delete one that is no longer used, with \`az identity federated-credential delete\`, or use another identity`,
  },
  regionUnsupported: {
    when: [
      {
        codes: ['MethodNotAllowed'],
        texts: ['federated identity credentials not enabled', 'not supported in'],
      },
    ],
    reason: 'FederationUnsupported',
    retry: '1 min to 1 h',
    advice: "the identity's region has no federated credentials: make the identity in another region, or attach it",
  },

  // Codes that are not known: by status.
  conflict: { when: [{ status: 409 }], reason: 'AzureError', retry: '5 to 30 s' },
  transient: { when: refusals.transient.when, reason: 'AzureError', retry: '0.5 s to 1 min' },
  refused: { when: [{ status: '4xx' }], reason: 'AzureError', retry: '1 min to 1 h' },

  // Without an answer.
  signInFailed: { when: [], reason: 'AzureError', retry: '0.5 s to 1 min' },
  unknown: { when: [], reason: 'AzureError', retry: '0.5 s to 1 min' },
} as const satisfies Readonly<Record<string, FederationRefusal>>;

export type FederationRefusalCode = keyof typeof federationRefusals;

export const federationRefusalOf = (code: FederationRefusalCode): FederationRefusal => federationRefusals[code];

export const recogniseFederation = (facts: Omit<ErrorFacts, 'about'>): FederationRefusalCode =>
  firstRecognised(federationRefusals, { ...facts, about: 'scope' }) ?? 'unknown';
