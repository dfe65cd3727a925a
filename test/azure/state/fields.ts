// Reads a document that a person wrote. Every error names the path of the field and what is accepted there.
import { isRecord } from '../core/messages.ts';
import type { Range } from '../core/random.ts';
import { guidPattern } from './names.ts';

export class DocumentError extends Error {
  readonly path: string;
  constructor(path: string, accepted: string) {
    super(`${path || 'document'}: ${accepted}`);
    this.name = 'DocumentError';
    this.path = path;
  }
}

export type Read<T> = (value: unknown, path: string) => T;

const show = (value: unknown) => {
  const shown = JSON.stringify(value) ?? 'nothing';
  return shown.length > 60 ? `${shown.slice(0, 57)}...` : shown;
};

export const text: Read<string> = (value, path) => {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw new DocumentError(path, `must be a non-empty string, not ${show(value)}`);
};

export const flag: Read<boolean> = (value, path) => {
  if (typeof value === 'boolean') return value;
  throw new DocumentError(path, `must be true or false, not ${show(value)}`);
};

/** A whole number of 0 or more. */
export const count: Read<number> = (value, path) => {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw new DocumentError(path, `must be a whole number of 0 or more, not ${show(value)}`);
};

export const positive: Read<number> = (value, path) => {
  if (count(value, path) > 0) return count(value, path);
  throw new DocumentError(path, 'must be a whole number of 1 or more, not 0');
};

export const whole: Read<number> = (value, path) => {
  if (typeof value === 'number' && Number.isSafeInteger(value)) return value;
  throw new DocumentError(path, `must be a whole number, not ${show(value)}`);
};

export const guid: Read<string> = (value, path) => {
  if (typeof value === 'string' && guidPattern.test(value)) return value;
  throw new DocumentError(path, `must be a GUID, not ${show(value)}`);
};

/** One segment of a resource id. */
export const segment: Read<string> = (value, path) => {
  if (typeof value === 'string' && /^[^/\s?#%\\]+$/.test(value)) return value;
  throw new DocumentError(path, `must be a name without "/" and spaces, not ${show(value)}`);
};

export const moment: Read<number> = (value, path) => {
  const parsed = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  if (!Number.isNaN(parsed)) return parsed;
  throw new DocumentError(path, `must be a time such as "2026-01-31T12:00:00Z", not ${show(value)}`);
};

export const range: Read<Range> = (value, path) => {
  if (typeof value === 'number') return { min: count(value, path), max: count(value, path) };
  if (!isRecord(value)) throw new DocumentError(path, `must be a number or {"min":..,"max":..}, not ${show(value)}`);
  const { min, max } = fields(value, path, { min: [count, null], max: [count, null] });
  if (min === null || max === null || min > max) throw new DocumentError(path, 'must have "min" and "max", and min not above max');
  return { min, max };
};

export function oneOf<const T extends string>(...choices: readonly T[]): Read<T> {
  return (value, path) => {
    const found = choices.find((choice) => choice === value);
    if (found !== undefined) return found;
    throw new DocumentError(path, `must be one of ${choices.map((choice) => `"${choice}"`).join(', ')}, not ${show(value)}`);
  };
}

export function orNull<T>(read: Read<T>): Read<T | null> {
  return (value, path) => (value === null ? null : read(value, path));
}

export function listOf<T>(read: Read<T>): Read<T[]> {
  return (value, path) => {
    if (!Array.isArray(value)) throw new DocumentError(path, `must be a list, not ${show(value)}`);
    return value.map((item, index) => read(item, `${path}[${index}]`));
  };
}

export const textMap: Read<Record<string, string>> = (value, path) => {
  if (!isRecord(value)) throw new DocumentError(path, `must be an object of strings, not ${show(value)}`);
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => {
      if (typeof item === 'string') return [key, item];
      throw new DocumentError(`${path}.${key}`, `must be a string, not ${show(item)}`);
    }),
  );
};

type Spec = Record<string, readonly [Read<unknown>, unknown?]>;
type Fields<S extends Spec> = { [K in keyof S]: ReturnType<S[K][0]> | (S[K] extends readonly [unknown, infer D] ? D : never) };

/** Reads an object field by field: `[reader]` is required, `[reader, fallback]` may be left out. Fields not listed are refused. */
export function fields<const S extends Spec>(value: unknown, path: string, spec: S): Fields<S> {
  if (!isRecord(value)) throw new DocumentError(path, `must be an object, not ${show(value)}`);
  const at = (name: string) => (path === '' ? name : `${path}.${name}`);
  for (const name of Object.keys(value)) {
    if (!Object.hasOwn(spec, name)) throw new DocumentError(at(name), `is not known here; known: ${Object.keys(spec).join(', ')}`);
  }
  const result: Record<string, unknown> = {};
  for (const [name, entry] of Object.entries(spec)) {
    if (Object.hasOwn(value, name)) result[name] = entry[0](value[name], at(name));
    else if (entry.length > 1) result[name] = entry[1];
    else throw new DocumentError(at(name), 'is missing');
  }
  return result as Fields<S>;
}
