// Federated credentials of a user-assigned identity: what ARM has at once, and what the replicas of Entra know of it some time later.
import type { Range } from '../core/random.ts';
import { drawFrom } from '../core/random.ts';
import type { FederatedCredential, PropagatedTrust, Trust, UserAssignedIdentity } from './model.ts';
import { keyOf } from './names.ts';
import type { Settings } from './settings.ts';

export type Timing = { readonly now: number; readonly random: () => number; readonly settings: Settings };

/** Names are compared without case. */
export const credentialNamed = (identity: UserAssignedIdentity, name: string): FederatedCredential | undefined =>
  identity.federated.find((one) => keyOf(one.name) === keyOf(name));

/** The identity with this credential, in place of one of the same name. */
export function withCredential(identity: UserAssignedIdentity, credential: FederatedCredential, timing: Timing): UserAssignedIdentity {
  const before = credentialNamed(identity, credential.name);
  const { issuer, subject, audiences } = credential;
  // The time of the old trust ends as that of the new one begins, in each replica.
  const from = arrivals(timing);
  const federated =
    before === undefined ? [...identity.federated, credential] : identity.federated.map((one) => (one === before ? credential : one));
  const trusts = [...ended(identity, before, from), { issuer, subject, audiences, from, until: null }];
  return { ...identity, federated, trusts: current(trusts, timing.now) };
}

export function withoutCredential(identity: UserAssignedIdentity, name: string, timing: Timing): UserAssignedIdentity {
  const before = credentialNamed(identity, name);
  const federated = identity.federated.filter((one) => one !== before);
  return { ...identity, federated, trusts: current(ended(identity, before, arrivals(timing)), timing.now) };
}

/** What one replica of Entra knows. */
export const trustsKnown = (identity: UserAssignedIdentity, replica: number, now: number): Trust[] =>
  identity.trusts.filter(({ from, until }) => at(from, replica) <= now && (until === null || now < at(until, replica)));

const at = (moments: readonly number[], replica: number): number => moments[replica % moments.length] ?? 0;

function arrivals({ now, random, settings }: Timing): number[] {
  const { replicas, credentialPropagationMs: delay }: { replicas: number; credentialPropagationMs: Range } = settings.entra;
  return Array.from({ length: replicas }, () => now + drawFrom(delay, random));
}

function ended(identity: UserAssignedIdentity, trust: Trust | undefined, until: readonly number[]): readonly PropagatedTrust[] {
  const same = (one: Trust) => one.issuer === trust?.issuer && one.subject === trust.subject;
  return identity.trusts.map((one) => (same(one) && one.until === null ? { ...one, until } : one));
}

const current = (trusts: readonly PropagatedTrust[], now: number): PropagatedTrust[] =>
  trusts.filter(({ until }) => until === null || until.some((moment) => moment > now));
