// The federation record of one managed identity: the ids that Azure reported, the federated credential that the controller made or found, and whether
// the broker has got a token with it. A ConfigMap of the release namespace, written by the leader only. The broker takes client and tenant from here
// and from nowhere else: annotations of an AzureAssignedIdentity and spec.clientID are written by others (docs/adr/0030-federated-assignment.md). Pure.
import { createHash } from 'node:crypto';
import { federationRecordPrefix } from '../../../api/names.ts';
import { identityIdOf } from '../../azure/resource-ids.ts';
import { isRecord, metadataOf, stringAt } from '../../kube/objects.ts';

export const federationRecordLabels = {
  'app.kubernetes.io/managed-by': 'aad-pod-identity-controller',
  'app.kubernetes.io/component': 'federation-record',
};
export const federationRecordSelector = Object.entries(federationRecordLabels)
  .map(([key, value]) => `${key}=${value}`)
  .join(',');

export interface RecordedCredential {
  readonly name: string;
  /** Made by this controller, so that it may be deleted. */
  readonly owned: boolean;
  /** RFC 3339: when it was made, or found. Entra may refuse it for some minutes after that. */
  readonly createdAt: string;
}

/** Entra's replicas learn of a new credential within this time (docs/reference/entra.md#federated-credentials). */
const propagationMs = 10 * 60_000;

/** Entra may not know it yet. `now` is wall time. */
export const isNewCredential = (credential: RecordedCredential | undefined, now: number): boolean =>
  credential !== undefined && now - Date.parse(credential.createdAt) < propagationMs;

/** A credential that this controller made for a subject that the broker no longer has. */
export interface FormerCredential {
  readonly name: string;
  /** RFC 3339. */
  readonly unusedSince: string;
}

export interface FederationRecord {
  /** Lower-case ARM id of the identity. */
  readonly identity: string;
  readonly clientId: string;
  readonly tenantId: string;
  readonly objectId: string;
  /** What the credential trusts. */
  readonly issuer: string;
  readonly subject: string;
  readonly audience: string;
  /** Stored before it is made, so that whoever takes over in the middle finds it. Undefined: none is there. */
  readonly credential: RecordedCredential | undefined;
  /** RFC 3339: when the broker got a token with it. Undefined: not yet, so that no pod may count on it. */
  readonly provenAt: string | undefined;
  readonly former: readonly FormerCredential[];
  /** RFC 3339: since when no pod needs it. */
  readonly unusedSince: string | undefined;
}

/** The name of the ConfigMap. */
export const federationRecordName = (identityId: string): string =>
  federationRecordPrefix + createHash('sha256').update(identityId.toLowerCase()).digest('hex').slice(0, 16);

/** A ConfigMap that cannot be understood: a person must mend or delete it. */
export class FederationRecordError extends Error {
  override readonly name = 'FederationRecordError';
  readonly code = 'invalid_federation_record';
}

/** `data` of the ConfigMap. */
export function formatFederationRecord(record: FederationRecord): Record<string, string> {
  const { credential, provenAt, former, unusedSince, ...ids } = record;
  return {
    ...ids,
    ...(credential === undefined ? {} : { credential: JSON.stringify(credential) }),
    ...(provenAt === undefined ? {} : { provenAt }),
    ...(former.length === 0 ? {} : { former: JSON.stringify(former) }),
    ...(unusedSince === undefined ? {} : { unusedSince }),
  };
}

/** Of a raw ConfigMap. Throws {@link FederationRecordError}: a guess at ownership would delete what is not ours. */
export function parseFederationRecord(raw: unknown): FederationRecord {
  const name = metadataOf(raw).name ?? '';
  const invalid = (what: string) => new FederationRecordError(`ConfigMap ${name}: data.${what}`);
  const textOf = (key: string): string => {
    const text = stringAt(raw, 'data', key);
    if (text === undefined || text === '') throw invalid(`${key} is missing`);
    return text;
  };
  const identity = identityIdOf(textOf('identity'));
  if (identity === undefined) throw invalid('identity is not the id of a user-assigned identity');
  // A record under another name would be a second one of its identity.
  if (name !== federationRecordName(identity)) throw invalid(`identity belongs to ConfigMap ${federationRecordName(identity)}`);
  const credential = jsonAt(raw, 'credential', invalid);
  const former = jsonAt(raw, 'former', invalid) ?? [];
  if (credential !== undefined && !isCredential(credential)) throw invalid('credential is not {name, owned, createdAt}');
  if (!Array.isArray(former) || !former.every(isFormer)) throw invalid('former is not a list of {name, unusedSince}');
  return {
    identity,
    clientId: textOf('clientId'),
    tenantId: textOf('tenantId'),
    objectId: textOf('objectId'),
    issuer: textOf('issuer'),
    subject: textOf('subject'),
    audience: textOf('audience'),
    credential,
    provenAt: dateAt(raw, 'provenAt', invalid),
    former,
    unusedSince: dateAt(raw, 'unusedSince', invalid),
  };
}

type Invalid = (what: string) => FederationRecordError;

function jsonAt(raw: unknown, key: string, invalid: Invalid): unknown {
  const text = stringAt(raw, 'data', key);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw invalid(`${key} is not JSON`);
  }
}

function dateAt(raw: unknown, key: string, invalid: Invalid): string | undefined {
  const text = stringAt(raw, 'data', key);
  if (text !== undefined && !isDate(text)) throw invalid(`${key} is not a date`);
  return text;
}

const isDate = (value: unknown): value is string => typeof value === 'string' && !Number.isNaN(Date.parse(value));
const isName = (value: unknown): value is string => typeof value === 'string' && value !== '';

const isCredential = (value: unknown): value is RecordedCredential =>
  isRecord(value) && isName(value.name) && typeof value.owned === 'boolean' && isDate(value.createdAt);

const isFormer = (value: unknown): value is FormerCredential => isRecord(value) && isName(value.name) && isDate(value.unusedSince);
