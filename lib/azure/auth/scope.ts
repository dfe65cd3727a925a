// From a resource, as callers of IMDS write it, to a scope of Entra's v2.0 endpoint (docs/reference/entra.md#scopes-and-audiences). Pure.

const suffix = '/.default';
/** The characters of a scope in RFC 6749. A blank would begin another scope. */
const characters = /^[\x21\x23-\x5b\x5d-\x7e]+$/;
const maxLength = 2048;

export const resourceForm = `1 to ${maxLength} printable ASCII characters without blanks, quotes and backslashes`;

/** Undefined for a text that is no resource, see {@link resourceForm}. A slash at the end of the resource stays: without it the audience is another one. */
export function scopeOf(resource: string): string | undefined {
  if (resource.length > maxLength || !characters.test(resource)) return undefined;
  const given = resource.toLowerCase().endsWith(suffix);
  if (given) return resource.length === suffix.length ? undefined : resource;
  return resource + suffix;
}
