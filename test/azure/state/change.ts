// What the control address does to the state: PUT replaces it, PATCH replaces the sections it names.
import { isRecord } from '../core/messages.ts';
import { readState } from './document.ts';
import { DocumentError } from './fields.ts';
import type { ComputeResource, State } from './model.ts';
import { writeState } from './write.ts';

/** A state of its own: operations, kept tokens and budgets of the one before are gone. */
export function replacedState(document: unknown, now: number): State {
  return readState(document, now);
}

function merged(base: unknown, patch: unknown): unknown {
  if (!isRecord(base) || !isRecord(patch)) return patch;
  const result: Record<string, unknown> = { ...base };
  for (const [name, value] of Object.entries(patch)) result[name] = merged(base[name], value);
  return result;
}

/**
 * `settings` are merged, every other section named is replaced. What runs goes on: operations, kept tokens, budgets, and of resources whose section is not named
 * also what IMDS sees of them, of identities what Entra knows of their credentials.
 */
export function patchedState(state: State, patch: unknown, now: number): State {
  if (!isRecord(patch)) throw new DocumentError('', 'must be an object with the sections to change');
  const before = writeState(state);
  const settings = merged(before.settings, patch.settings ?? {});
  const next = readState({ ...before, ...patch, settings }, now);
  const kept = (resource: ComputeResource) => !(resource.kind === 'scaleSet' ? 'scaleSets' in patch : 'virtualMachines' in patch);
  const resources = new Map(
    [...next.resources].map(([key, resource]) => [key, kept(resource) ? (state.resources.get(key) ?? resource) : resource]),
  );
  const identities = 'identities' in patch ? next.identities : state.identities;
  const { operations, tokens, buckets, assertions } = state;
  return { ...next, resources, identities, operations, tokens, buckets, assertions };
}
