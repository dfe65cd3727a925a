// The `identity` property: reading the update of a write and merging it. docs/reference/arm.md#the-identity-property
import type { Answer } from '../core/messages.ts';
import { isRecord } from '../core/messages.ts';
import type { AttachedIdentities, Attachment, IdentityType, IdentityUpdate, State, SystemIdentity } from '../state/model.ts';
import { identityIdPattern, keyOf } from '../state/names.ts';
import { badContent, failure } from './errors.ts';

const types: readonly IdentityType[] = ['None', 'SystemAssigned', 'UserAssigned', 'SystemAssigned, UserAssigned'];

function readType(value: unknown): IdentityType | null {
  // Requests without the space after the comma are documented too.
  const plain = (type: string) => type.toLowerCase().replaceAll(' ', '');
  return typeof value === 'string' ? (types.find((type) => plain(type) === plain(value)) ?? null) : null;
}

/** Reads `identity` of a body; null when the body does not touch it. */
export function readIdentityUpdate(value: unknown, current: IdentityType): IdentityUpdate | null | { refused: Answer } {
  if (value === undefined || value === null) return null;
  if (!isRecord(value)) return { refused: badContent("Error converting value to type 'ResourceIdentity'. Path 'identity'") };
  const type = value.type === undefined ? current : readType(value.type);
  if (type === null)
    return {
      refused: badContent(`Error converting value ${JSON.stringify(value.type)} to type 'ResourceIdentityType'. Path 'identity.type'`),
    };
  const map = value.userAssignedIdentities ?? {};
  if (!isRecord(map)) return { refused: badContent("Error converting value to a dictionary. Path 'identity.userAssignedIdentities'") };
  const user: Record<string, { id: string } | null> = {};
  for (const [id, entry] of Object.entries(map)) {
    if (!identityIdPattern.test(id)) {
      const expected =
        "Expect fully qualified resource Id that start with '/subscriptions/{subscriptionId}' or '/providers/{resourceProviderNamespace}/'.";
      return {
        refused: failure(
          400,
          'LinkedInvalidPropertyId',
          `Property id '${id}' at path 'identity.userAssignedIdentities' is invalid. ${expected}`,
        ),
      };
    }
    if (entry !== null && !isRecord(entry))
      return { refused: badContent(`Unexpected value for '${id}'. Path 'identity.userAssignedIdentities'`) };
    if (Object.hasOwn(user, keyOf(id))) {
      const message = `The identity id '${id}' cannot be duplicated in the provided identityIds list.`;
      return { refused: failure(400, 'InvalidParameter', message, {}, 'resourceIdentity.identityIds') };
    }
    user[keyOf(id)] = entry === null ? null : { id };
  }
  if (!type.includes('UserAssigned') && Object.values(user).some((entry) => entry !== null)) {
    return {
      refused: failure(
        400,
        'InvalidParameter',
        `User assigned identities cannot be given with identity type '${type}'.`,
        {},
        'identity.userAssignedIdentities',
      ),
    };
  }
  return { type, user };
}

/** Ids that an update adds and that do not exist. */
export function missingIdentities(update: IdentityUpdate, identities: State['identities'], hidden: readonly string[]): string[] {
  const wanted = Object.values(update.user).flatMap((entry) => (entry === null ? [] : [entry.id]));
  return wanted.filter((id) => !identities.has(keyOf(id)) || hidden.includes(keyOf(id)));
}

/**
 * The identities after a write. Entries with a value are added, `null` ones removed, others stay (or go, with `replace`). One that is attached already
 * keeps its incarnation: a recreated identity has to be removed before it can be added again.
 */
export function mergeIdentity(
  current: AttachedIdentities,
  update: IdentityUpdate,
  options: { replace: boolean; identities: State['identities']; system: SystemIdentity },
): AttachedIdentities {
  const system = update.type.startsWith('SystemAssigned') ? (current.system ?? options.system) : null;
  if (!update.type.includes('UserAssigned')) return { system, user: {} };
  const user: Record<string, Attachment> = options.replace ? {} : { ...current.user };
  for (const [key, entry] of Object.entries(update.user)) {
    if (entry === null) {
      delete user[key];
      continue;
    }
    const principalId = current.user[key]?.principalId ?? options.identities.get(key)?.principalId;
    if (principalId !== undefined) user[key] = { id: current.user[key]?.id ?? entry.id, principalId };
  }
  return { system, user };
}
