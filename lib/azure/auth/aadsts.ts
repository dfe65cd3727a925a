// What the errors of Entra mean for an exchange of an assertion, as data (docs/reference/entra.md#errors). Pure.
import type { EntraErrorDetails } from './application-token.ts';

/** What to do about an error. */
export type FailureKind =
  /** No federated credential has this issuer, subject and audience, or Entra's replicas do not know it yet. */
  | 'untrusted'
  /** A person must correct something. */
  | 'refused'
  /** The assertion is too old, or a clock is wrong: read it again. */
  | 'assertion'
  /** Entra cannot fetch the keys of the issuer. */
  | 'issuer'
  /** The same request came too often: the client must pause. */
  | 'loop'
  /** The tenant or the client must pause. */
  | 'throttled'
  /** Entra fails for the moment, or cannot be reached. */
  | 'passing';

interface Meaning {
  kind: FailureKind;
  /** For the developer: what it means, then what to do. */
  hint: string;
  /** Entra issued no token for a reason that says nothing against the federated credential. */
  proves?: true;
}

const untrusted = (part: string): Meaning => ({ kind: 'untrusted', hint: `no federated credential of the identity has this ${part}` });
const passing: Meaning = { kind: 'passing', hint: 'Entra fails for the moment' };

/** By the number after `AADSTS`. */
export const aadstsMeanings: ReadonlyMap<number, Meaning> = new Map([
  [70021, untrusted('issuer, subject and audience')],
  [700211, untrusted('issuer')],
  [700212, untrusted('audience')],
  [700213, untrusted('subject')],
  [7002138, { kind: 'refused', hint: 'the subject of the federated credential differs in case only: write it as it is here' }],
  [90061, { kind: 'issuer', hint: 'Entra cannot fetch the keys of the issuer: its URL must be reachable from the internet' }],
  [700024, { kind: 'assertion', hint: 'the assertion has expired or is not valid yet: compare the clocks of the nodes' }],
  [700016, { kind: 'refused', hint: 'the tenant has no such client id: was the identity deleted, or is it of another tenant?' }],
  [90002, { kind: 'refused', hint: 'there is no such tenant' }],
  [500011, { kind: 'refused', hint: 'the tenant has no such resource: compare its spelling with that of the service', proves: true }],
  [7000112, { kind: 'refused', hint: 'the application is disabled' }],
  [53003, { kind: 'refused', hint: 'a Conditional Access policy forbids it', proves: true }],
  [1002012, { kind: 'refused', hint: 'the resource is malformed' }],
  [70011, { kind: 'refused', hint: 'the resource is malformed' }],
  [50196, { kind: 'loop', hint: 'Entra takes the client for one that loops' }],
  [90033, passing],
  [90055, passing],
]);

export interface Failure {
  kind: FailureKind;
  /** Empty for an error without an entry. */
  hint: string;
  /** The exchange proves the federated credential, although it gave no token. */
  proves: boolean;
}

/** An error without an entry is judged by its status: no response and 5xx pass, another 4xx does not. */
export function failureOf({ aadsts, status }: EntraErrorDetails): Failure {
  if (status === 429) return { kind: 'throttled', hint: 'Entra throttles the tenant', proves: false };
  const known = aadsts === undefined ? undefined : aadstsMeanings.get(aadsts);
  if (known !== undefined) return { kind: known.kind, hint: known.hint, proves: known.proves === true };
  const isFinal = status !== undefined && status >= 400 && status < 500;
  return { kind: isFinal ? 'refused' : 'passing', hint: '', proves: false };
}

/** Another attempt can succeed although nobody corrects anything. So can one for `untrusted`, while the credential is new: this does not know its age. */
export const isRetryable = (kind: FailureKind): boolean => kind !== 'refused' && kind !== 'untrusted';
