// The setting identityPolicy: JSON, parsed once. Errors name the path and what is accepted there.
import type { Option } from '../../common/options.ts';
import { SettingsError } from '../../common/options.ts';
import { isRecord } from '../../common/records.ts';
import { identityIdForm, identityIdOf } from '../azure/resource-ids.ts';
import type { LabelExpression, LabelSelector } from './label-selector.ts';
import { labelOperators } from './label-selector.ts';
import type { IdentityPolicy, IdentityPolicyEntry } from './policy.ts';

const entryForm = '{namespaces, resourceIDs, clientIDs, tenantIDs} with at least one of them';
const form = `a JSON list of ${entryForm}`;

/** Absent: every identity is allowed. An empty list allows none. */
export const identityPolicySetting: Option<IdentityPolicy | undefined> = {
  description: 'which AzureIdentity objects may be used; what no entry names is refused, and without the setting nothing is',
  form,
  fallback: undefined,
  parse: parseIdentityPolicy,
};

interface Pattern {
  form: string;
  accepts(text: string): boolean;
}

const patterns = {
  namespaces: { form: 'the name of a namespace', accepts: (text) => /^[0-9A-Za-z*-]{1,63}$/.test(text) },
  // The words between the names are always the same, so a pattern without them could not match anything.
  resourceIDs: { form: identityIdForm, accepts: (text) => identityIdOf(text.replaceAll('*', 'x')) !== undefined && text === text.trim() },
  clientIDs: { form: 'a GUID', accepts: (text) => /^[0-9A-Fa-f*-]{1,36}$/.test(text) },
  tenantIDs: { form: 'a GUID or a DNS name', accepts: (text) => /^[0-9A-Za-z.*-]{1,253}$/.test(text) },
} as const satisfies Record<keyof IdentityPolicyEntry, Pattern>;

/** Throws {@link SettingsError}. */
export function parseIdentityPolicy(json: string): IdentityPolicy {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    throw refused('identityPolicy', json, form);
  }
  if (!Array.isArray(value)) throw refused('identityPolicy', value, form);
  return value.map((entry: unknown, index) => parseEntry(entry, `identityPolicy[${index}]`));
}

function parseEntry(value: unknown, path: string): IdentityPolicyEntry {
  const { namespaces, resourceIDs, clientIDs, tenantIDs } = recordOf(value, path, Object.keys(patterns), entryForm);
  const list = (name: keyof IdentityPolicyEntry, given: unknown) =>
    given === undefined ? {} : { [name]: listOf(given, `${path}.${name}`, patterns[name]) };
  return {
    ...(isRecord(namespaces) ? { namespaces: selectorOf(namespaces, `${path}.namespaces`) } : list('namespaces', namespaces)),
    ...list('resourceIDs', resourceIDs),
    ...list('clientIDs', clientIDs),
    ...list('tenantIDs', tenantIDs),
  };
}

function listOf(value: unknown, path: string, pattern: Pattern): string[] {
  const item = `${pattern.form}, in which * stands for characters of one path segment`;
  if (!Array.isArray(value)) throw refused(path, value, `a list of texts, each ${item}`);
  return value.map((each: unknown, index) => {
    if (typeof each !== 'string' || !pattern.accepts(each)) throw refused(`${path}[${index}]`, each, item);
    return each;
  });
}

function selectorOf(value: unknown, path: string): LabelSelector {
  const accepted = '{matchLabels, matchExpressions} with at least one of them';
  const { matchLabels, matchExpressions } = recordOf(value, path, ['matchLabels', 'matchExpressions'], accepted);
  return {
    ...(matchLabels === undefined ? {} : { matchLabels: labelsOf(matchLabels, `${path}.matchLabels`) }),
    ...(matchExpressions === undefined ? {} : { matchExpressions: expressionsOf(matchExpressions, `${path}.matchExpressions`) }),
  };
}

function labelsOf(value: unknown, path: string): Record<string, string> {
  if (isStringMap(value) && Object.keys(value).length > 0) return value;
  throw refused(path, value, 'a map of one label or more, whose values are texts');
}

function expressionsOf(value: unknown, path: string): LabelExpression[] {
  if (!Array.isArray(value) || value.length === 0) throw refused(path, value, 'a list of one expression or more');
  return value.map((each: unknown, index) => expressionOf(each, `${path}[${index}]`));
}

function expressionOf(value: unknown, path: string): LabelExpression {
  const accepted = '{key, operator, values}';
  const record = recordOf(value, path, ['key', 'operator', 'values'], accepted);
  const { key, values } = record;
  if (typeof key !== 'string' || key === '') throw refused(`${path}.key`, key, 'the name of a label');
  const operator = labelOperators.find((known) => known === record.operator);
  if (operator === undefined) throw refused(`${path}.operator`, record.operator, labelOperators.join(', '));
  if (operator === 'In' || operator === 'NotIn') {
    if (isStringList(values) && values.length > 0) return { key, operator, values };
    throw refused(`${path}.values`, values, `a list of one text or more with operator ${operator}`);
  }
  if (values !== undefined && !(Array.isArray(values) && values.length === 0))
    throw refused(`${path}.values`, values, `nothing with operator ${operator}`);
  return { key, operator };
}

/** An object with some of these keys and no other. */
function recordOf(value: unknown, path: string, keys: readonly string[], accepted: string): Record<string, unknown> {
  if (!isRecord(value) || Object.keys(value).length === 0) throw refused(path, value, accepted);
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw new SettingsError(`${path}.${shown(unknown)} is not known: accepted is ${accepted}`);
  return value;
}

const isStringList = (value: unknown): value is string[] => Array.isArray(value) && value.every((item) => typeof item === 'string');
const isStringMap = (value: unknown): value is Record<string, string> =>
  isRecord(value) && Object.values(value).every((item) => typeof item === 'string');

const refused = (path: string, value: unknown, accepted: string): SettingsError =>
  new SettingsError(`${path} is ${shown(value)}: accepted is ${accepted}`);

/** Short, and without control characters. */
const shown = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);
