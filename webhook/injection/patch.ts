// RFC 6902 patches from the difference of two JSON documents: small where items were only put in front or behind, whole lists otherwise.
import { isDeepStrictEqual } from 'node:util';
import { isRecord } from '../../common/records.ts';

export type Operation = { op: 'add' | 'replace'; path: string; value: unknown } | { op: 'remove'; path: string };

/** Escapes one segment of an RFC 6901 pointer. `~` comes first: the other order turns `/` into `~01`. */
export function escapeSegment(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

/** Whoever applies a patch may copy the list for each operation. A pod of 1 MB can have 30 000 containers. */
const maxListOperations = 500;

/** Applied in order, the operations make `after` of `before`. Parts that are the same object in both are not compared. */
export function diff(before: unknown, after: unknown, path = ''): Operation[] {
  if (before === after) return [];
  if (isRecord(before) && isRecord(after)) return diffObjects(before, after, path);
  if (Array.isArray(before) && Array.isArray(after)) return diffLists(before, after, path);
  return isDeepStrictEqual(before, after) ? [] : [{ op: 'replace', path, value: after }];
}

function diffObjects(before: Record<string, unknown>, after: Record<string, unknown>, path: string): Operation[] {
  const operations: Operation[] = [];
  for (const key of Object.keys(before)) {
    if (!Object.hasOwn(after, key)) operations.push({ op: 'remove', path: `${path}/${escapeSegment(key)}` });
  }
  for (const [key, value] of Object.entries(after)) {
    const member = `${path}/${escapeSegment(key)}`;
    if (Object.hasOwn(before, key)) operations.push(...diff(before[key], value, member));
    else operations.push({ op: 'add', path: member, value });
  }
  return operations;
}

function diffLists(before: unknown[], after: unknown[], path: string): Operation[] {
  if (before.length === after.length && before.every((item, index) => sameName(item, after[index]))) {
    const operations = before.flatMap((item, index) => diff(item, after[index], `${path}/${index}`));
    return operations.length > maxListOperations ? [{ op: 'replace', path, value: after }] : operations;
  }
  const added = after.length - before.length;
  if (added > 0) {
    const same = (offset: number) => before.every((item, index) => isDeepStrictEqual(item, after[index + offset]));
    if (same(added)) return after.slice(0, added).map((value, index) => ({ op: 'add', path: `${path}/${index}`, value }));
    if (same(0)) return after.slice(before.length).map((value) => ({ op: 'add', path: `${path}/-`, value }));
  }
  return [{ op: 'replace', path, value: after }];
}

/** Containers, volumes and variables are identified by name: the patch must not turn one into another field by field. */
function sameName(before: unknown, after: unknown): boolean {
  return isRecord(before) && isRecord(after) ? before.name === after.name : true;
}
