// A label selector as a setting: JSON, parsed once.
import type { Option } from '../../common/options.ts';
import { isRecord } from '../../common/records.ts';
import { parseJson, recordOf, refused } from '../json-setting.ts';
import type { LabelExpression, LabelSelector } from './label-selector.ts';
import { labelOperators } from './label-selector.ts';

const accepted = '{matchLabels, matchExpressions} with at least one of them';

/** Absent: undefined. */
export const labelSelectorSetting = (name: string, description: string): Option<LabelSelector | undefined> => {
  const form = `a JSON object ${accepted}`;
  return { description, form, fallback: undefined, parse: (json) => selectorOf(parseJson(name, json, form), name) };
};

/** Throws a SettingsError that names the path. */
export function selectorOf(value: unknown, path: string): LabelSelector {
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
  const record = recordOf(value, path, ['key', 'operator', 'values'], '{key, operator, values}');
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

const isStringList = (value: unknown): value is string[] => Array.isArray(value) && value.every((item) => typeof item === 'string');
const isStringMap = (value: unknown): value is Record<string, string> =>
  isRecord(value) && Object.values(value).every((item) => typeof item === 'string');
