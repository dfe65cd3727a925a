// The setting identityPolicy: JSON, parsed once. Errors name the path and what is accepted there.
import type { Option } from '../../common/options.ts';
import { isRecord } from '../../common/records.ts';
import { identityIdForm, identityIdOf } from '../azure/resource-ids.ts';
import { parseJson, recordOf, refused } from '../json-setting.ts';
import { selectorOf } from './label-selector-setting.ts';
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

/** Throws a SettingsError. */
export function parseIdentityPolicy(json: string): IdentityPolicy {
  const value = parseJson('identityPolicy', json, form);
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
