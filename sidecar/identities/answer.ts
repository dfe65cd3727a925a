// The broker's answers, parsed once from unknown JSON into the exact types of api/broker.ts.
import type { IdentitiesAnswer, IdentityRow } from '../../api/broker.ts';
import { revokingCodes } from '../../api/broker.ts';

export class BadAnswer extends Error {
  override readonly name = 'BadAnswer';
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function parseIdentities(value: unknown): IdentitiesAnswer {
  if (!isRecord(value) || !isRecord(value.pod) || !Array.isArray(value.identities)) throw new BadAnswer('not an identities answer');
  const pod = value.pod;
  const defaultIdentity = optionalText(pod, 'defaultIdentity');
  return {
    pod: {
      name: text(pod, 'name'),
      namespace: text(pod, 'namespace'),
      uid: text(pod, 'uid'),
      ...(defaultIdentity === undefined ? {} : { defaultIdentity }),
    },
    excepted: value.excepted === true,
    asOf: text(value, 'asOf'),
    caBundle: text(value, 'caBundle'),
    identities: value.identities.map(parseRow),
  };
}

function parseRow(value: unknown): IdentityRow {
  if (!isRecord(value)) throw new BadAnswer('an identity is not an object');
  const type = value.type;
  const state = value.state;
  if (type !== 0 && type !== 1 && type !== 2) throw new BadAnswer('an identity has an unknown type');
  if (state !== 'Created' && state !== 'Assigned' && state !== 'Failed') throw new BadAnswer('an identity has an unknown state');
  const row: IdentityRow = {
    name: text(value, 'name'),
    namespace: text(value, 'namespace'),
    binding: text(value, 'binding'),
    type,
    clientID: text(value, 'clientID'),
    resourceID: text(value, 'resourceID'),
    state,
  };
  for (const key of ['objectID', 'tenantID', 'reason', 'assignedAt'] as const) {
    const given = optionalText(value, key);
    if (given !== undefined) row[key] = given;
  }
  if (Array.isArray(value.auxiliaryTenantIDs))
    row.auxiliaryTenantIDs = value.auxiliaryTenantIDs.filter((tenant): tenant is string => typeof tenant === 'string');
  return row;
}

function text(record: Record<string, unknown>, key: string): string {
  const value = record[key];
  if (typeof value !== 'string') throw new BadAnswer(`${key} is not a string`);
  return value;
}

function optionalText(record: Record<string, unknown>, key: string): string | undefined {
  return record[key] === undefined || record[key] === null || record[key] === '' ? undefined : text(record, key);
}

/** `{"error":{"code","message"}}` of a refusal; both empty when the body is something else. */
export function parseRefusal(value: unknown): { code: string; message: string } {
  const error = isRecord(value) && isRecord(value.error) ? value.error : {};
  const part = (key: string) => (typeof error[key] === 'string' ? error[key] : '');
  return { code: part('code'), message: part('message') };
}

export function isRevoking(status: number, code: string): boolean {
  return (status === 403 || status === 404) && revokingCodes.some((revoking) => revoking === code);
}
