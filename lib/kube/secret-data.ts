import { stringMapAt } from './objects.ts';

/** The entries of a Secret as text. */
export function decodeSecretData(rawSecret: unknown): Record<string, string> {
  const entries = Object.entries(stringMapAt(rawSecret, 'data'));
  return Object.fromEntries(entries.map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
}

/** The `data` of a Secret with these entries. */
export function encodeSecretData(entries: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(entries).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
}
