// docs/kinds.md describes the four kinds as their CRDs do, and every annotation of this system. UPDATE_GOLDENS=1 writes the generated part anew.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { plurals } from '../api/kinds.ts';
import { annotations, bindingLabel, guardLabel, injectedLabel, nodeNameLabel } from '../api/names.ts';
import { at, isRecord, stringAt } from '../common/records.ts';
import { podAnnotations } from '../lib/identities/decision/annotations.ts';
import { assertSection, code, escaped, tableSection } from './generated-section.ts';

const root = path.resolve(import.meta.dirname, '..');
const read = (file: string) => readFileSync(path.join(root, file), 'utf8');
const crds = 'charts/aad-pod-identity-webhook/crds';

interface Field {
  path: string;
  schema: unknown;
}

/** Fields that carry a meaning: not the empty `metadata` of spec and status, nor what is below a copy of another object. */
function fieldsOf(schema: unknown, parent: string): Field[] {
  const properties = at(schema, 'properties');
  if (!isRecord(properties) || at(schema, 'x-kubernetes-embedded-resource') === true) return [];
  return Object.entries(properties)
    .filter(([name]) => name !== 'metadata')
    .map(([name, child]) => ({ path: `${parent}.${name}`, schema: child }))
    .flatMap((field) => [field, ...fieldsOf(field.schema, field.path)]);
}

function typeOf(schema: unknown): string {
  const type = stringAt(schema, 'type') ?? '';
  if (type === 'array') return `list of ${typeOf(at(schema, 'items'))}, at most ${at(schema, 'maxItems')}`;
  const most = at(schema, 'maxLength');
  return typeof most === 'number' ? `${type}, at most ${most} characters` : type;
}

function rulesOf(schema: unknown): string[] {
  const rules = at(schema, 'x-kubernetes-validations');
  const own = Array.isArray(rules) ? rules.flatMap((rule) => stringAt(rule, 'message') ?? []) : [];
  const properties = at(schema, 'properties');
  return [...own, ...(isRecord(properties) ? Object.values(properties).flatMap(rulesOf) : [])];
}

function kindSection(plural: string): string {
  const crd: unknown = parse(read(`${crds}/${plural}.yaml`));
  const names = at(crd, 'spec', 'names');
  const [version] = [at(crd, 'spec', 'versions')].flat();
  const schema = at(version, 'schema', 'openAPIV3Schema');
  const columns = [at(version, 'additionalPrinterColumns') ?? []].flat().map((column) => {
    const isWide = at(column, 'priority') === 1;
    return `${stringAt(column, 'name')}${isWide ? ' (with `-o wide`)' : ''}`;
  });
  const short = [at(names, 'shortNames') ?? []].flat().map((name) => code(String(name)));
  const fields = ['spec', 'status'].flatMap((part) => fieldsOf(at(schema, 'properties', part), part));
  const rows = fields.map((field) => [code(field.path), typeOf(field.schema), stringAt(field.schema, 'description') ?? '']);
  const rules = rulesOf(schema).map((message) => `- ${escaped(message)}`);
  const kind = stringAt(names, 'kind');
  return [
    `\n## ${kind}\n\n${stringAt(schema, 'description')}\n`,
    `\nNames for kubectl: ${[code(plural), code(String(stringAt(names, 'singular'))), ...short].join(', ')}.`,
    columns.length === 0 ? '\n' : ` Columns of \`kubectl get\`: ${columns.join(', ')}.\n`,
    tableSection(`### Fields of ${kind}`, ['field', 'type', 'meaning'], rows),
    ...(rules.length === 0 ? [] : [`\nThe API server refuses an object that breaks one of these rules:\n\n${rules.join('\n')}\n`]),
  ].join('');
}

describe('docs/kinds.md', () => {
  it('describes each kind as its CRD does', () => {
    assertSection('kinds.md', 'kinds', `${Object.values(plurals).map(kindSection).join('')}\n`);
  });

  it('has a meaning for each field', () => {
    const page = read('docs/kinds.md');
    assert.deepEqual(
      [...page.matchAll(/^\| `(?:spec|status)\.[^|]*\|[^|]*\|\s*\|$/gm)].map(([row]) => row),
      [],
    );
  });

  it('lists each annotation and label of the system', () => {
    const found = [...read('docs/kinds.md').matchAll(/^\| `([^`]+)` \| (?:Pod|Namespace|Azure)/gm)].map(([, key]) => key);
    const known = [...Object.values(annotations), ...Object.values(podAnnotations).map(({ key }) => key)];
    const labels = [bindingLabel, guardLabel, injectedLabel, nodeNameLabel];
    assert.deepEqual(found.toSorted(), [...new Set([...known, ...labels])].toSorted());
  });
});
