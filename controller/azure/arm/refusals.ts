// What Azure's errors mean, as one table: how each is recognised, what users read, when it is tried again and who is to blame. Pure.
// docs/reference/arm.md#what-the-controller-makes-of-an-error has the same table; a test compares both.

import { matchesGlob } from '../../../lib/identities/glob.ts';
import type { AssignmentReason } from '../../../lib/identities/reasons.ts';
import type { About } from './subject.ts';

/** When a call that failed so is made again. */
export type Retry =
  /** Retry-After, or the time in the text. */
  | 'when Azure says'
  | 'at once'
  /** At random, so that two writers do not meet again. */
  | '5 to 30 s'
  /** Doubled with each failure in a row. Retry-After wins where Azure sends it. */
  | '0.5 s to 1 min'
  | '1 min'
  | '10 min'
  /** The identity to blame is kept out for 1 min, doubled up to 1 h; the others are written at once (docs/adr/0009-quarantine-of-bad-identities.md). */
  | 'quarantine';

/** Whose fault it is: some identity of the write, what the scale set or machine is or stands in, or neither. */
export type Blamed = 'identity' | 'scope' | 'nobody';

/** All conditions that are given must hold. */
export interface Recognition {
  /**
   * Status of the answer. It decides only where neither codes nor texts are given: the failure of an operation has no status of its own.
   */
  readonly status?: number | '4xx' | '5xx';
  /** Azure's codes, with `*` for any characters; one is enough, or one of the texts. */
  readonly codes?: readonly string[];
  /** Parts of Azure's text, in any case. */
  readonly texts?: readonly string[];
  /** What the error is about; one is enough. */
  readonly about?: readonly About[];
}

export interface Refusal {
  /** One is enough. Empty: no answer of Azure is recognised as this; the client finds it out itself. */
  readonly when: readonly Recognition[];
  readonly reason: AssignmentReason;
  readonly retry: Retry;
  readonly blamed: Blamed;
  /** What a person is to do. `<action>` and `<scope>` come from Azure's text. */
  readonly advice?: string;
}

const clientFaults = ['FailedIdentityOperation', 'BadRequest', 'Invalid*', 'LinkedInvalidPropertyId'] as const;
const notFoundTexts = ['not found', 'notfound', 'could not be found', 'does not exist'] as const;
const detach = 'detach it from the scale set or virtual machine, with `az vmss identity remove` or `az vm identity remove`';

/** The first entry that recognises an error decides. The keys are the `code` of the log. */
export const refusals = {
  // Of the moment.
  throttled: {
    when: [
      { status: 429 },
      {
        codes: ['*TooManyRequests*', '*Throttl*'],
        texts: ['temporarily throttled', 'has issued too many requests', 'too many requests have been received'],
      },
    ],
    reason: 'Throttled',
    retry: 'when Azure says',
    blamed: 'nobody',
  },
  unauthorized: { when: [{ status: 401 }], reason: 'AzureError', retry: '0.5 s to 1 min', blamed: 'nobody' },
  preconditionFailed: {
    when: [{ status: 412 }, { status: 412, codes: ['PreconditionFailed'] }],
    reason: 'Attaching',
    retry: 'at once',
    blamed: 'nobody',
  },
  canceled: {
    when: [{ codes: ['OperationPreempted', 'CanceledAndSuperseded*'], texts: ['preempted by a more recent', 'canceledandsuperseded'] }],
    reason: 'Attaching',
    retry: '5 to 30 s',
    blamed: 'nobody',
  },

  // About an identity of the write.
  identityOfOtherTenant: {
    when: [{ status: 403, texts: ['linked subscription'], about: ['identity'] }],
    reason: 'IdentityNotFound',
    retry: 'quarantine',
    blamed: 'identity',
    advice: "the identity's subscription does not exist or belongs to another tenant, from which nothing can be attached",
  },
  identityDenied: {
    when: [{ status: 403, codes: ['*DenyAssignment*'], texts: ['deny assignment'], about: ['identity'] }],
    reason: 'DenyAssignment',
    retry: 'quarantine',
    blamed: 'identity',
    advice: 'a deny assignment on the identity or its group forbids to assign it, and no role helps',
  },
  identityDisallowed: {
    when: [{ status: 403, codes: ['RequestDisallowedBy*'], texts: ['disallowed by policy'], about: ['identity'] }],
    reason: 'PolicyDenied',
    retry: 'quarantine',
    blamed: 'identity',
    advice:
      'an Azure Policy forbids this identity on the scale set or virtual machine: use another one, or exempt the scope from the policy',
  },
  identityRoleMissing: {
    when: [
      { status: 403, codes: ['*AuthorizationFailed', 'LinkedAccessCheckFailed'], about: ['identity'] },
      { status: 403, about: ['identity'] },
    ],
    reason: 'MissingRole',
    retry: 'quarantine',
    blamed: 'identity',
    advice:
      'the controller lacks a role on the identity, or it no longer exists: grant the controller the role Managed Identity Operator on the identity, or make it anew',
  },
  identityNotFound: {
    when: [
      { codes: ['IdentityNotFound'], texts: notFoundTexts, about: ['identity'] },
      { status: 404, about: ['unnamed'] },
      { status: 404, codes: ['*NotFound'], about: ['unnamed'] },
    ],
    reason: 'IdentityNotFound',
    retry: 'quarantine',
    blamed: 'identity',
    advice: 'Azure knows no such identity: make it there, or correct spec.resourceID of the AzureIdentity',
  },
  identityInvalid: {
    when: [
      { status: '4xx', about: ['identity'] },
      { status: 400, codes: clientFaults, about: ['identity'] },
    ],
    reason: 'IdentityNotFound',
    retry: 'quarantine',
    blamed: 'identity',
  },

  // About an identity that is attached and that the write does not touch.
  attachedIdentityGone: {
    when: [{ status: 400, texts: notFoundTexts, about: ['attached'] }],
    reason: 'ForeignIdentityBroken',
    retry: '1 min',
    blamed: 'scope',
    advice: `Azure refuses every write because an identity that is attached no longer exists: ${detach}`,
  },
  attachedIdentityBroken: {
    when: [
      { status: '4xx', about: ['attached'] },
      { status: 400, codes: [...clientFaults, '*AuthorizationFailed'], about: ['attached'] },
    ],
    reason: 'ForeignIdentityBroken',
    retry: '1 min',
    blamed: 'scope',
    advice: `Azure refuses every write because of an identity that is attached and is not part of this write: mend it, or ${detach}`,
  },

  // About the scale set or virtual machine, or what is around it.
  scopeLocked: {
    when: [{ status: 409, codes: ['*ScopeLocked'], texts: ['scope(s) are locked', 'or its parent is locked'] }],
    reason: 'ScopeLocked',
    retry: '10 min',
    blamed: 'scope',
    advice:
      'a lock forbids changes of the scale set or virtual machine: remove the lock, which may be on its resource group or subscription',
  },
  subscriptionDisabled: {
    when: [{ status: 409, codes: ['ReadOnlyDisabledSubscription'], texts: ['is disabled and therefore marked as read only'] }],
    reason: 'ScopeLocked',
    retry: '10 min',
    blamed: 'scope',
    advice: 'the subscription is disabled, which makes it read-only: enable it again',
  },
  changeNotAllowed: {
    when: [{ status: 409, codes: ['PropertyChangeNotAllowed'] }],
    reason: 'ScopeLocked',
    retry: '10 min',
    blamed: 'scope',
    advice: 'Azure allows no such change of the scale set or virtual machine: make it anew, or ask Azure support',
  },
  quotaExceeded: {
    when: [{ status: 409, codes: ['*QuotaExceeded'], texts: ['results in exceeding approved', 'exceeding quota limits'] }],
    reason: 'QuotaExceeded',
    retry: '10 min',
    blamed: 'scope',
    advice: 'a quota of the subscription is used up: have it raised, or free some of it',
  },
  policyDenied: {
    when: [{ status: 403, codes: ['RequestDisallowedBy*'], texts: ['disallowed by policy', 'disallowed by one or more policies'] }],
    reason: 'PolicyDenied',
    retry: '10 min',
    blamed: 'scope',
    advice: 'an Azure Policy forbids changes of the scale set or virtual machine as it is: make it comply, or exempt it from the policy',
  },
  denyAssignment: {
    when: [{ status: 403, codes: ['*DenyAssignment*'], texts: ['deny assignment'] }],
    reason: 'DenyAssignment',
    retry: '10 min',
    blamed: 'scope',
    advice: 'the node resource group is locked against changes',
  },
  linkedRoleMissing: {
    when: [
      { status: 403, codes: ['LinkedAuthorizationFailed', 'LinkedAccessCheckFailed'] },
      { status: 403, codes: ['*AuthorizationFailed'], about: ['other'] },
    ],
    reason: 'MissingRole',
    retry: '1 min',
    blamed: 'scope',
    advice: 'grant the controller a role with the action <action> on <scope>, to which the scale set or virtual machine refers',
  },
  missingRole: {
    when: [{ status: 403, codes: ['*AuthorizationFailed'] }],
    reason: 'MissingRole',
    retry: '1 min',
    blamed: 'scope',
    advice: 'grant the controller the role Virtual Machine Contributor on the node resource group',
  },
  forbidden: {
    when: [{ status: 403 }],
    reason: 'AzureError',
    retry: '1 min',
    blamed: 'scope',
    advice: 'Azure forbids the call for a reason that is not known here',
  },
  notFound: {
    when: [{ status: 404, codes: ['ResourceNotFound', 'ResourceGroupNotFound', 'SubscriptionNotFound', 'NotFound'], about: ['scope'] }],
    reason: 'AzureError',
    retry: '1 min',
    blamed: 'scope',
    advice: 'the scale set or virtual machine is gone',
  },
  referenceNotFound: {
    when: [
      { status: 404, about: ['other'] },
      { status: 400, codes: ['*NotFound', 'InvalidResourceReference'], about: ['other'] },
    ],
    reason: 'AzureError',
    retry: '10 min',
    blamed: 'scope',
    advice: 'something that the scale set or virtual machine refers to does not exist, and no identity is to blame: mend the reference',
  },
  conflict: {
    when: [
      {
        status: 409,
        codes: ['Conflict', 'AnotherOperationInProgress', '*ConcurrentWrite*'],
        texts: ['conflict with a concurrent request', 'another operation'],
      },
    ],
    reason: 'Attaching',
    retry: '5 to 30 s',
    blamed: 'nobody',
  },

  // Codes that are not known: by status.
  otherConflict: { when: [{ status: 409 }], reason: 'AzureError', retry: '0.5 s to 1 min', blamed: 'nobody' },
  transient: {
    when: [
      { status: 408 },
      { status: '5xx' },
      { status: '5xx', codes: ['*Internal*', '*Retryable*', '*Timeout*', '*Unavailable*', '*Transient*'] },
    ],
    reason: 'AzureError',
    retry: '0.5 s to 1 min',
    blamed: 'nobody',
  },
  refused: {
    when: [
      { status: '4xx', about: ['unnamed', 'other'] },
      { status: 400, codes: clientFaults, about: ['unnamed', 'other'] },
    ],
    reason: 'AzureError',
    retry: 'quarantine',
    blamed: 'identity',
  },

  // Without an answer.
  signInFailed: { when: [], reason: 'AzureError', retry: '0.5 s to 1 min', blamed: 'nobody' },
  operationLost: { when: [], reason: 'AzureError', retry: '0.5 s to 1 min', blamed: 'nobody' },
  unknown: { when: [], reason: 'AzureError', retry: '0.5 s to 1 min', blamed: 'nobody' },
} as const satisfies Readonly<Record<string, Refusal>>;

export type RefusalCode = keyof typeof refusals;
export type IdentityRefusalCode = {
  [Code in RefusalCode]: (typeof refusals)[Code]['blamed'] extends 'identity' ? Code : never;
}[RefusalCode];

export const refusalOf = (code: RefusalCode): Refusal => refusals[code];

export const isAboutIdentities = (code: RefusalCode): code is IdentityRefusalCode => refusals[code].blamed === 'identity';

/** What an error of Azure says. */
export interface ErrorFacts {
  /** Undefined for the failure of an operation. */
  readonly status: number | undefined;
  /** Azure's own; empty where it has none. */
  readonly azureCode: string;
  readonly text: string;
  readonly about: About;
}

export const recognise = (facts: ErrorFacts): RefusalCode => firstRecognised(refusals, facts) ?? 'unknown';

/** The code of the first entry of a table that recognises an error. */
export function firstRecognised<Code extends string>(
  table: Readonly<Record<Code, { readonly when: readonly Recognition[] }>>,
  facts: ErrorFacts,
): Code | undefined {
  const codes = Object.keys(table) as Code[];
  return codes.find((code) => table[code].when.some((recognition) => holds(recognition, facts)));
}

function holds({ status, codes, texts, about }: Recognition, facts: ErrorFacts): boolean {
  if (about !== undefined && !about.includes(facts.about)) return false;
  if (codes === undefined && texts === undefined) return status !== undefined && hasStatus(facts.status, status);
  const text = facts.text.toLowerCase();
  return (codes ?? []).some((code) => matchesGlob(code, facts.azureCode)) || (texts ?? []).some((part) => text.includes(part));
}

function hasStatus(given: number | undefined, wanted: NonNullable<Recognition['status']>): boolean {
  if (given === undefined) return false;
  return typeof wanted === 'number' ? given === wanted : Math.floor(given / 100) === Number(wanted[0]);
}
