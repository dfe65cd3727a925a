// What has to happen to the federated credentials of one identity: pure, from the record, what Azure has, and what the broker's token says.
import type { FederationResponse } from '../../api/federation.ts';
import { credentialNameOf } from '../../lib/identities/federation/credential-name.ts';
import type { FederationRecord, FormerCredential, RecordedCredential } from '../../lib/identities/federation/record.ts';
import type { FederatedCredential, IdentityIds } from '../azure/arm/federated-credentials.ts';
import { credentialLimit } from '../azure/arm/federation-refusals.ts';

export interface PlanInput {
  record: FederationRecord | undefined;
  /** Lower-case ARM id. */
  identity: string;
  ids: IdentityIds;
  trust: FederationResponse;
  /** What the identity has now. */
  credentials: readonly FederatedCredential[];
  /** Credentials may be made and deleted. */
  manage: boolean;
  now: Date;
}

export interface CredentialPlan {
  /** To be stored before anything is written. */
  record: FederationRecord;
  /**
   * `use`: a credential is there. `put`: it has to be made, or given its content again. The others need a person: `missing` where credentials are
   * not managed, `limit` where the identity has no room, `taken` where somebody else's credential is in the way.
   */
  step:
    | { kind: 'use' }
    | { kind: 'put'; name: string }
    | { kind: 'missing'; name: string }
    | { kind: 'limit' }
    | { kind: 'taken'; name: string };
}

export function planCredential(input: PlanInput): CredentialPlan {
  const { trust, credentials, manage, now } = input;
  const before = currentRecord(input);
  const since = now.toISOString();
  const owned = ownedNames(before);
  const present = new Set(credentials.map(({ name }) => name.toLowerCase()));
  const result = (credential: RecordedCredential | undefined, step: CredentialPlan['step']): CredentialPlan => ({
    record: {
      ...before,
      ...trust,
      credential,
      provenAt: credential === undefined ? undefined : before.provenAt,
      former: formerOf(before, credential, present, since),
    },
    step,
  });

  const matching = credentials.filter((credential) => trusts(credential, trust));
  const found = matching.find(({ name }) => isSameName(name, before.credential?.name)) ?? matching[0];
  if (found !== undefined) {
    const isKnown = isSameName(found.name, before.credential?.name);
    const known = isKnown ? before.credential : undefined;
    return result(known ?? { name: found.name, owned: owned.has(found.name.toLowerCase()), createdAt: since }, { kind: 'use' });
  }

  const name = credentialNameOf(trust);
  // Azure allows a name once, and a pair of issuer and subject once.
  const obstacle = credentials.find(
    (credential) => isSameName(credential.name, name) || (credential.issuer === trust.issuer && credential.subject === trust.subject),
  );
  if (!manage) return result(undefined, { kind: 'missing', name });
  if (obstacle !== undefined && !owned.has(obstacle.name.toLowerCase())) return result(undefined, { kind: 'taken', name: obstacle.name });
  if (obstacle === undefined && credentials.length >= credentialLimit) return result(undefined, { kind: 'limit' });
  const written = obstacle?.name ?? name;
  return result({ name: written, owned: true, createdAt: since }, { kind: 'put', name: written });
}

/** The record without what belonged to an identity that was deleted and made anew: its credentials went with it. */
function currentRecord({ record, identity, ids, trust }: PlanInput): FederationRecord {
  const { clientId, tenantId, principalId: objectId } = ids;
  const isSame = record !== undefined && record.clientId === clientId && record.tenantId === tenantId && record.objectId === objectId;
  if (isSame) return record;
  const nothing = { credential: undefined, provenAt: undefined, former: [], unusedSince: undefined };
  return { identity, clientId, tenantId, objectId, ...trust, ...nothing };
}

const ownedNames = ({ credential, former }: FederationRecord): ReadonlySet<string> =>
  new Set([...(credential?.owned === true ? [credential] : []), ...former].map(({ name }) => name.toLowerCase()));

/** Ours for other subjects, as far as they are still there. */
function formerOf(
  { credential, former }: FederationRecord,
  next: RecordedCredential | undefined,
  present: ReadonlySet<string>,
  since: string,
): FormerCredential[] {
  const replaced = credential?.owned === true ? [{ name: credential.name, unusedSince: since }] : [];
  const names = new Set<string>();
  return [...former, ...replaced].filter(({ name }) => {
    const isNew = !names.has(name.toLowerCase());
    names.add(name.toLowerCase());
    return isNew && !isSameName(name, next?.name) && present.has(name.toLowerCase());
  });
}

/** Entra compares all three exactly, with case. */
const trusts = (credential: FederatedCredential, { issuer, subject, audience }: FederationResponse): boolean =>
  credential.issuer === issuer && credential.subject === subject && credential.audiences.includes(audience);

/** Azure compares names without case. */
const isSameName = (a: string, b: string | undefined): boolean => a.toLowerCase() === b?.toLowerCase();

/** The broker has got no token since the credential was made. */
export const isProofDue = ({ credential, provenAt }: FederationRecord): boolean =>
  credential !== undefined && (provenAt === undefined || Date.parse(provenAt) < Date.parse(credential.createdAt));

export const isSameTrust = (record: FederationResponse, { issuer, subject, audience }: FederationResponse): boolean =>
  record.issuer === issuer && record.subject === subject && record.audience === audience;
