// RFC 6902 from the difference of two JSON documents: small where only something was put in front or behind, whole lists otherwise.
import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../lib/kube/objects.ts';

export type Operation = { op: 'add' | 'replace'; path: string; value: unknown } | { op: 'remove'; path: string };

/** `~` first: the other order would turn `/` into `~01`. */
export function escapeSegment(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Applied in order they make `after` of `before`. Parts that are the same object in both are not looked into. */
export function difference(before: unknown, after: unknown, path = ''): Operation[] {
  if (before === after) return [];
  if (isRecord(before) && isRecord(after)) return ofObjects(before, after, path);
  if (Array.isArray(before) && Array.isArray(after)) return ofLists(before, after, path);
  return isDeepStrictEqual(before, after) ? [] : [{ op: 'replace', path, value: after }];
}

function ofObjects(before: Record<string, unknown>, after: Record<string, unknown>, path: string): Operation[] {
  const operations: Operation[] = [];
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: 'remove', path: `${path}/${escapeSegment(key)}` });
  }
  for (const [key, value] of Object.entries(after)) {
    const place = `${path}/${escapeSegment(key)}`;
    if (Object.hasOwn(before, key)) operations.push(...difference(before[key], value, place));
    else operations.push({ op: 'add', path: place, value });
  }
  return operations;
}

function ofLists(before: unknown[], after: unknown[], path: string): Operation[] {
  if (before.length === after.length && before.every((item, index) => sameName(item, after[index])))
    return before.flatMap((item, index) => difference(item, after[index], `${path}/${index}`));
  const added = after.length - before.length;
  if (added > 0) {
    const same = (offset: number) => before.every((item, index) => isDeepStrictEqual(item, after[index + offset]));
    if (same(added)) return after.slice(0, added).map((value, index) => ({ op: 'add', path: `${path}/${index}`, value }));
    if (same(0)) return after.slice(before.length).map((value) => ({ op: 'add', path: `${path}/-`, value }));
  }
  return [{ op: 'replace', path, value: after }];
}

/** Containers, volumes and variables are known by name: one must not be rewritten into another. */
function sameName(before: unknown, after: unknown): boolean {
  return isRecord(before) && isRecord(after) ? before.name === after.name : true;
}
