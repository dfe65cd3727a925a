// What to write into the `identity` of a scale set or VM. Pure. ARM merges the map of a PATCH: `{}` adds, `null` removes, the rest stays. It replaces
// the type: `None` removes all, a type without SystemAssigned drops the system identity (docs/reference/arm.md#the-identity-property).

export const identityTypes = ['None', 'SystemAssigned', 'UserAssigned', 'SystemAssigned, UserAssigned'] as const;
export type IdentityKind = (typeof identityTypes)[number];

/** What a user-assigned identity was given by Entra; null once it was deleted and made anew under the same name: IMDS knows it no longer. */
export type AttachedIdentity = { readonly clientId: string; readonly principalId: string } | null;

/** The identity of a scope as a GET shows it; ids lower case. */
export interface ObservedIdentity {
  readonly type: IdentityKind;
  readonly identities: ReadonlyMap<string, AttachedIdentity>;
}

/** All ids lower case. */
export interface Change {
  /** Ids that must be attached; wins over `remove`. */
  readonly add: Iterable<string>;
  /** Ids that must go. */
  readonly remove: Iterable<string>;
  /** Ids that we attached. Nothing else is ever taken off, whatever `remove` says. */
  readonly owned: ReadonlySet<string>;
}

/** One PATCH. It says nothing of the type: that follows from the state which the write is made against, see {@link wireIdentity}. */
export interface Write {
  readonly attach: readonly string[];
  readonly detach: readonly string[];
}

/** Entries in one PATCH, aad-pod-identity's figure: nobody documents a limit, but bodies of thousands are refused. */
export const maxEntries = 150;

/**
 * The writes, in order, that bring `seen` to what `change` asks; empty when it is there already. Adds go before removes, in as few writes as
 * `entries` allows. An owned identity that was recreated is taken off and put on again, which is what makes IMDS know it.
 */
export function splitIntoPatches(seen: ObservedIdentity, change: Change, entries = maxEntries): Write[] {
  const wanted = new Set(change.add);
  const absent = [...wanted].filter((id) => !seen.identities.has(id));
  const recreated = [...wanted].filter((id) => seen.identities.get(id) === null && change.owned.has(id));
  const leaving = [...new Set(change.remove)].filter((id) => !wanted.has(id) && seen.identities.has(id) && change.owned.has(id));
  return [
    ...inWrites(absent, [...recreated, ...leaving], entries),
    // A map has one value for an id, so the way back on is always a write of its own.
    ...inWrites(recreated, [], entries),
  ];
}

function inWrites(attach: readonly string[], detach: readonly string[], entries: number): Write[] {
  const writes: Write[] = [];
  for (let start = 0; start < attach.length + detach.length; start += entries) {
    const attached = attach.slice(start, start + entries);
    const detachFrom = Math.max(0, start - attach.length);
    writes.push({ attach: attached, detach: detach.slice(detachFrom, detachFrom + entries - attached.length) });
  }
  return writes;
}

export interface WireIdentity {
  type: IdentityKind;
  userAssignedIdentities?: Record<string, Record<string, never> | null>;
}

/**
 * The `identity` of the PATCH body, computed from the very state whose etag goes into If-Match: the type without UserAssigned, which removes all,
 * comes out only when nothing would be left of what that state shows, foreign identities included. Undefined: the state is already so.
 */
export function wireIdentity(write: Write, seen: ObservedIdentity): WireIdentity | undefined {
  const attach = write.attach.filter((id) => !seen.identities.has(id));
  const detach = write.detach.filter((id) => seen.identities.has(id));
  if (attach.length + detach.length === 0) return undefined;
  const system = seen.type.startsWith('SystemAssigned');
  const left = seen.identities.size + attach.length - detach.length;
  // Without UserAssigned in the type ARM refuses a map.
  if (left === 0) return { type: system ? 'SystemAssigned' : 'None' };
  const entries: [string, Record<string, never> | null][] = [
    ...attach.map((id): [string, Record<string, never>] => [id, {}]),
    ...detach.map((id): [string, null] => [id, null]),
  ];
  return { type: system ? 'SystemAssigned, UserAssigned' : 'UserAssigned', userAssignedIdentities: Object.fromEntries(entries) };
}

/** The spellings that ARM answers and accepts; undefined for another text. Absent means None. */
export function identityKindOf(type: string | undefined): IdentityKind | undefined {
  const words = (type ?? 'None').toLowerCase().replace(/\s/g, '');
  return identityTypes.find((kind) => kind.toLowerCase().replace(' ', '') === words);
}
