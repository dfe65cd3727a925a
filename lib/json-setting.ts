// Settings that are JSON, parsed once. Errors name the path and what is accepted there.
import { SettingsError } from '../common/options.ts';
import { isRecord } from '../common/records.ts';

/** Throws {@link SettingsError} for what is no JSON. */
export function parseJson(setting: string, json: string, accepted: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    throw refused(setting, json, accepted);
  }
}

/** An object with some of these keys and no other. */
export function recordOf(value: unknown, path: string, keys: readonly string[], accepted: string): Record<string, unknown> {
  if (!isRecord(value) || Object.keys(value).length === 0) throw refused(path, value, accepted);
  const unknown = Object.keys(value).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw new SettingsError(`${path}.${shown(unknown)} is not known: accepted is ${accepted}`);
  return value;
}

export const refused = (path: string, value: unknown, accepted: string): SettingsError =>
  new SettingsError(`${path} is ${shown(value)}: accepted is ${accepted}`);

/** Short, and without control characters. */
const shown = (value: unknown): string => (JSON.stringify(value) ?? 'missing').slice(0, 100);
