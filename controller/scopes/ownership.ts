// The ownership record: what this system did to one scope. A restart, a new leader or a lost Node must neither make it forget what it has to detach,
// nor detach what it did not attach (docs/adr/0007-scope-ownership-record.md). An identity that was attached before us has no entry. Pure.
import { createHash } from 'node:crypto';
import { scopeRecordPrefix } from '../../api/names.ts';
import { isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';

/** `intent`: absent at our GET, about to be attached. `owned`: attached by us. `detaching`: about to be detached. */
export type EntryState = 'intent' | 'owned' | 'detaching';

export interface OwnershipEntry {
  state: EntryState;
  /** RFC 3339. */
  since: string;
}

export interface OwnershipRecord {
  /** Lower-case ARM id of the scale set or VM. */
  readonly scope: string;
  /** Set by a person: no writes to this scope. */
  readonly paused: boolean;
  /** URL of the operation under way, for a controller that takes over. */
  readonly operation: string | undefined;
  /** By lower-case ARM id of the identity. */
  readonly identities: ReadonlyMap<string, OwnershipEntry>;
}

/** A state sets an entry, undefined drops it. */
export type OwnershipChange = [id: string, state: EntryState | undefined];

export const recordName = (scope: string): string =>
  scopeRecordPrefix + createHash('sha256').update(scope.toLowerCase()).digest('hex').slice(0, 16);

export const emptyRecord = (scope: string): OwnershipRecord => ({ scope, paused: false, operation: undefined, identities: new Map() });

/** An entry that is already in that state keeps its date. */
export function withChanges(record: OwnershipRecord, changes: Iterable<OwnershipChange>, now: Date): OwnershipRecord {
  const identities = new Map(record.identities);
  for (const [id, state] of changes) {
    if (state === undefined) identities.delete(id);
    else if (identities.get(id)?.state !== state) identities.set(id, { state, since: now.toISOString() });
  }
  return { ...record, identities };
}

/** The record cannot be understood: a person must mend the ConfigMap. */
export class OwnershipRecordError extends Error {
  override readonly name = 'OwnershipRecordError';
  readonly code = 'invalid_ownership_record';
}

/** Throws {@link OwnershipRecordError}: a guess at ownership would detach what is not ours. */
export function parseRecord(raw: unknown): OwnershipRecord {
  const name = metadataOf(raw).name ?? '';
  const scope = stringAt(raw, 'data', 'scope');
  if (scope === undefined) throw new OwnershipRecordError(`ConfigMap ${name} has no data.scope, the resource id it is about`);
  const operation = stringAt(raw, 'data', 'operation');
  return {
    scope: scope.toLowerCase(),
    paused: stringAt(raw, 'data', 'paused') === 'true',
    operation: operation === '' ? undefined : operation,
    identities: new Map(
      Object.entries(identitiesIn(raw, name)).map(([id, entry]) => [
        id.toLowerCase(),
        parseEntry(entry, `ConfigMap ${name}: data.identities["${id}"]`),
      ]),
    ),
  };
}

function identitiesIn(raw: unknown, name: string): Record<string, unknown> {
  let parsed: unknown;
  try {
    parsed = JSON.parse(stringAt(raw, 'data', 'identities') ?? '{}');
  } catch {
    throw new OwnershipRecordError(`ConfigMap ${name}: data.identities is not JSON`);
  }
  if (!isRecord(parsed)) throw new OwnershipRecordError(`ConfigMap ${name}: data.identities is not a JSON object`);
  return parsed;
}

function parseEntry(entry: unknown, place: string): OwnershipEntry {
  const state = isRecord(entry) ? entry.state : undefined;
  if (!isRecord(entry) || (state !== 'intent' && state !== 'owned' && state !== 'detaching'))
    throw new OwnershipRecordError(`${place}.state is not intent, owned or detaching`);
  return { state, since: typeof entry.since === 'string' ? entry.since : '' };
}
