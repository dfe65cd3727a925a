// The schemas of the chart, and what of a page does not fit them: objects of our kinds, and values.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv } from 'ajv';
import { parse } from 'yaml';
import { identityIdOf } from '../../lib/azure/resource-ids.ts';
import { at, isRecord, stringAt } from '../../lib/kube/objects.ts';

const chart = path.resolve(import.meta.dirname, '../../charts/aad-pod-identity-webhook');
const read = (file: string): string => readFileSync(path.join(chart, file), 'utf8');
const ajv = new Ajv({ strict: false, validateFormats: false, allErrors: true });
const said = (errors: ErrorObject[] | null | undefined): string[] =>
  (errors ?? []).map(({ instancePath, message, params }) => `${instancePath || 'it'} ${message} ${JSON.stringify(params)}`);

interface Kind {
  plural: string;
  /** What kubectl calls it. */
  names: readonly string[];
  validate: ValidateFunction;
}

/** Closes every object that lists its properties: the API server drops what it does not know, and a page must not have it. */
function closed(schema: unknown, isTop = true): unknown {
  if (Array.isArray(schema)) return schema.map((one) => closed(one, false));
  if (!isRecord(schema)) return schema;
  const inner = Object.fromEntries(Object.entries(schema).map(([key, value]) => [key, closed(value, false)]));
  const isObject = schema.type === 'object' && isRecord(schema.properties) && schema['x-kubernetes-preserve-unknown-fields'] !== true;
  return isObject || isTop ? { ...inner, additionalProperties: false } : inner;
}

const kinds = new Map<string, Kind>();
for (const file of readdirSync(path.join(chart, 'crds'))) {
  const definition: unknown = parse(read(path.join('crds', file)));
  const names = at(definition, 'spec', 'names');
  const [current] = [at(definition, 'spec', 'versions')].flat();
  const schema = closed(at(current, 'schema', 'openAPIV3Schema'));
  const list = (name: string) => [at(names, name) ?? []].flat().map(String);
  kinds.set(stringAt(names, 'kind') ?? file, {
    plural: stringAt(names, 'plural') ?? '',
    names: ['plural', 'singular', 'shortNames', 'categories'].flatMap(list),
    validate: ajv.compile(schema as object),
  });
}

/** The names by which kubectl knows our kinds. */
export const ourResources: readonly string[] = [...kinds.values()].flatMap(({ names }) => names);

/** What is wrong with an object of one of our kinds; undefined for another kind. */
export function problemsOfObject(object: unknown): readonly string[] | undefined {
  if (!(stringAt(object, 'apiVersion') ?? '').startsWith('aadpodidentity.k8s.io/')) return undefined;
  const kind = kinds.get(stringAt(object, 'kind') ?? '');
  if (kind === undefined) return [`no such kind: ${stringAt(object, 'kind')}`];
  kind.validate(object);
  const resourceId = stringAt(object, 'spec', 'resourceID');
  const isWrong = resourceId !== undefined && identityIdOf(resourceId) === undefined;
  return [...said(kind.validate.errors), ...(isWrong ? [`spec.resourceID is no id of an identity: ${resourceId}`] : [])];
}

const validateValues = ajv.compile(JSON.parse(read('values.schema.json')) as object);
const defaults: unknown = parse(read('values.yaml'));

/** As Helm does: maps are joined, everything else is replaced. */
function merge(base: unknown, over: unknown): unknown {
  if (!isRecord(base) || !isRecord(over)) return over;
  const merged: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) merged[key] = key in base ? merge(base[key], value) : value;
  return merged;
}

/** What is wrong with values that are given beside the chart's own. */
export function problemsOfValues(values: unknown): readonly string[] {
  validateValues(merge(defaults, values));
  return said(validateValues.errors);
}

/** Whether this can be a values file of the chart: every name at its top is one of values.yaml. */
export const looksLikeValues = (object: unknown): boolean =>
  isRecord(object) && isRecord(defaults) && Object.keys(object).every((key) => key in defaults || key === 'identityPolicy');

/** The values that the texts of `--set` stand for. Throws for a text that is none. */
export function valuesOfSet(texts: readonly string[]): unknown {
  let values: unknown = {};
  for (const text of texts.flatMap((all) => all.split(/(?<!\\),/))) {
    const [, name = '', value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
    if (value === undefined) throw new Error(`--set ${text}: no value`);
    const keys = name.split(/(?<!\\)\./).map((key) => key.replaceAll('\\', ''));
    const typed = /^(true|false|null|\d+)$/.test(value) ? (JSON.parse(value) as unknown) : value;
    values = merge(
      values,
      keys.reduceRight<unknown>((inner, key) => ({ [key]: inner }), typed),
    );
  }
  return values;
}
