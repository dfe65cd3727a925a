// Bodies of the broker's responses, parsed once from unknown JSON into the types of api/broker.ts.
import type { IdentitiesResponse, IdentityRow } from '../../api/broker.ts';
import { revokingCodes } from '../../api/broker.ts';
import { isRecord, stringAt, stringsAt } from '../../common/records.ts';

/** The broker responded with something that this sidecar does not understand. */
class InvalidResponseError extends Error {
  override readonly name = 'InvalidResponseError';
  readonly code = 'invalid_response';
}

/** Throws {@link InvalidResponseError}. */
export function parseIdentities(body: unknown): IdentitiesResponse {
  if (!isRecord(body) || !isRecord(body.pod) || !Array.isArray(body.identities)) throw new InvalidResponseError('not an identities answer');
  const { pod } = body;
  const defaultIdentity = optionalText(pod, 'defaultIdentity');
  return {
    pod: {
      name: text(pod, 'name'),
      namespace: text(pod, 'namespace'),
      uid: text(pod, 'uid'),
      ...(defaultIdentity === undefined ? {} : { defaultIdentity }),
    },
    excepted: body.excepted === true,
    asOf: text(body, 'asOf'),
    caBundle: text(body, 'caBundle'),
    identities: body.identities.map(parseRow),
  };
}

/** 200 of the node endpoint's route. `token` is not parsed. Throws {@link InvalidResponseError}. */
export function parseHostToken(body: unknown): { identity: IdentityRow; token: unknown } {
  if (!isRecord(body)) throw new InvalidResponseError('not an answer for the node endpoint');
  return { identity: parseRow(body.identity), token: body.token };
}

function parseRow(value: unknown): IdentityRow {
  if (!isRecord(value)) throw new InvalidResponseError('an identity is not an object');
  const { type } = value;
  if (typeof type !== 'number') throw new InvalidResponseError('the type of an identity is not a number');
  const source = sourceOf(value, type);
  const state = stateOf(value);
  const row: IdentityRow = {
    name: text(value, 'name'),
    namespace: text(value, 'namespace'),
    binding: text(value, 'binding'),
    type,
    source: source ?? 'broker',
    clientID: text(value, 'clientID'),
    resourceID: text(value, 'resourceID'),
    state: state ?? 'Failed',
  };
  for (const key of ['objectID', 'tenantID', 'reason', 'assignedAt'] as const) {
    const given = optionalText(value, key);
    if (given !== undefined) row[key] = given;
  }
  if (Array.isArray(value.auxiliaryTenantIDs)) row.auxiliaryTenantIDs = stringsAt(value, 'auxiliaryTenantIDs');
  if (source === undefined) return unknownTo(row, `source ${text(value, 'source')}`);
  return state === undefined ? unknownTo(row, `state ${text(value, 'state')}`) : row;
}

/** Undefined for one of a newer broker. */
function sourceOf({ source }: Record<string, unknown>, type: number): IdentityRow['source'] | undefined {
  // Brokers up to 0.2 do not send it.
  if (source === undefined) return type === 0 ? 'imds' : 'broker';
  return source === 'imds' || source === 'broker' ? source : undefined;
}

/** Undefined for one of a newer broker. */
const stateOf = ({ state }: Record<string, unknown>): IdentityRow['state'] | undefined =>
  state === 'Created' || state === 'Assigned' || state === 'Failed' ? state : undefined;

/** The other identities of the pod work on. */
const unknownTo = (row: IdentityRow, what: string): IdentityRow => ({
  ...row,
  state: 'Failed',
  reason: `this token proxy is older than the identity broker and does not know its ${what}: restart the pod`,
});

function text(record: Record<string, unknown>, key: string): string {
  const value = record[key];
  if (typeof value !== 'string') throw new InvalidResponseError(`${key} is not a string`);
  return value;
}

function optionalText(record: Record<string, unknown>, key: string): string | undefined {
  return record[key] === undefined || record[key] === null || record[key] === '' ? undefined : text(record, key);
}

/** Of `{"error":{"code","message","entraError"}}`; each is empty when the body is something else. */
export function parseError(body: unknown): { code: string; message: string; entraError: string } {
  const textAt = (key: string) => stringAt(body, 'error', key) ?? '';
  return { code: textAt('code'), message: textAt('message'), entraError: textAt('entraError') };
}

/** Whether the broker says that this pod may have no identity. Every other error is an outage, which revokes nothing. */
export function isRevocation(status: number, code: string): boolean {
  return (status === 403 || status === 404) && revokingCodes.some((revoking) => revoking === code);
}
