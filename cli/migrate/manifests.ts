// Manifests as text: YAML of one or more documents, or JSON. Each document is either an object, or skipped with a reason. Pure.
import { parseAllDocuments } from 'yaml';
import { at, isRecord, metadataOf, stringAt } from '../../lib/kube/objects.ts';

export interface Manifests {
  /** Of lists the items. */
  objects: unknown[];
  skipped: SkippedDocument[];
}

export interface SkippedDocument {
  /** File, and which document of it. */
  place: string;
  why: string;
}

/** Deep enough for a list of lists. */
const maxListDepth = 5;

/** `file`: for the places of skipped documents. Never throws. */
export function readManifests(file: string, text: string): Manifests {
  const read = parseDocuments(text).flatMap((document, index) => {
    const place = `${file}, document ${index + 1}`;
    return 'why' in document ? [{ place, why: document.why }] : readDocument(document.value, place);
  });
  return { objects: read.flatMap((item) => ('object' in item ? [item.object] : [])), skipped: read.filter((item) => 'why' in item) };
}

type Parsed = { value: unknown } | { why: string };

function parseDocuments(text: string): Parsed[] {
  return attempt(() =>
    [...parseAllDocuments(text.replace(/^\uFEFF/, ''), { merge: true, logLevel: 'silent' })].flatMap((document) => {
      const [error] = document.errors;
      if (error !== undefined) return [{ why: firstLine(error.message) }];
      // Aliases that would grow without bounds throw.
      return attempt(() => [{ value: document.toJS() as unknown }]);
    }),
  );
}

function attempt(read: () => Parsed[]): Parsed[] {
  try {
    return read();
  } catch (error) {
    return [{ why: firstLine(error instanceof Error ? error.message : String(error)) }];
  }
}

type ReadObject = { object: unknown } | SkippedDocument;

/** Of a list its items. Nothing for an empty document. */
function readDocument(value: unknown, place: string, depth = 0): ReadObject[] {
  if (value === null || value === undefined) return [];
  const why = problemOf(value);
  if (why !== undefined) return [{ place, why }];
  const items = listItems(value);
  if (items === undefined) {
    const noName = nameProblemOf(value);
    return noName === undefined ? [{ object: value }] : [{ place, why: noName }];
  }
  if (depth === maxListDepth) return [{ place, why: 'lists lie too deep in each other' }];
  return items.flatMap((item, index) => readDocument(item, `${place}, item ${index + 1}`, depth + 1));
}

function problemOf(value: unknown): string | undefined {
  if (!isRecord(value)) return 'it is no object';
  if (kindOf(value) === '') return 'it has no kind';
  return stringAt(value, 'apiVersion') === undefined ? `${kindOf(value)} without apiVersion` : undefined;
}

/** Names become parts of commands that a person types. The API server has no other names of these kinds. */
const accepted = /^[\w.:-]{1,253}$/;

function nameProblemOf(value: unknown): string | undefined {
  const { name, namespace } = metadataOf(value);
  if (name === undefined) return `${kindOf(value)} without metadata.name`;
  return accepted.test(name) && (namespace === undefined || accepted.test(namespace))
    ? undefined
    : `${kindOf(value)} with a metadata.name or namespace that is no name`;
}

/** The API server leaves kind and apiVersion out of the items of a typed list. */
function listItems(value: unknown): readonly unknown[] | undefined {
  const items = at(value, 'items');
  const kind = kindOf(value);
  if (!Array.isArray(items) || !kind.endsWith('List')) return undefined;
  const apiVersion = stringAt(value, 'apiVersion');
  const itemKind = kind.slice(0, -'List'.length);
  return itemKind === '' ? items : items.map((item) => (isRecord(item) ? { apiVersion, kind: itemKind, ...item } : item));
}

const kindOf = (value: unknown): string => stringAt(value, 'kind') ?? '';
const firstLine = (text: string): string => (text.split('\n')[0] ?? '').slice(0, 200);
