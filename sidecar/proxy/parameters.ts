// The parameters of a request, and which of them name an identity (docs/reference/imds.md). A name that is overlooked would get its caller
// the token of the default identity, so names are compared more loosely than IMDS and App Service compare them.
import type { Selector, SelectorName } from '../../api/identity-choice.ts';

/** By name as `normalize` returns it. */
export type Parameters = ReadonlyMap<string, string>;

/** Two parameters of one name are refused, as IMDS refuses them: `duplicate` is the second one as it was sent. */
export function readParameters(query: URLSearchParams, normalize: (name: string) => string): Parameters | { duplicate: string } {
  const parameters = new Map<string, string>();
  for (const [sent, value] of query) {
    const name = normalize(sent);
    if (parameters.has(name)) return { duplicate: sent };
    parameters.set(name, value);
  }
  return parameters;
}

export const lowerCaseName = (name: string): string => name.toLowerCase();

/** `Client-ID`, `clientid` and `client_id` are one name. */
export const looseName = (name: string): string => name.toLowerCase().replace(/[-_\s]/g, '');

const meanings: Record<string, SelectorName> = {
  client_id: 'client_id',
  object_id: 'object_id',
  principal_id: 'object_id',
  msi_res_id: 'msi_res_id',
  mi_res_id: 'msi_res_id',
  resource_id: 'msi_res_id',
};
const identityParameters = Object.entries(meanings).map(([spelling, selector]) => ({ spelling, name: looseName(spelling), selector }));
const spellings = Object.keys(meanings).join(', ');

/** The selector of parameters that were read with `looseName`, or the text of a 400. An empty value names no identity. */
export function readSelector(parameters: Parameters): Selector | undefined | { message: string } {
  const given = identityParameters.filter(({ name }) => (parameters.get(name) ?? '') !== '');
  const [first] = given;
  if (first === undefined) return undefined;
  if (given.length === 1) return { name: first.selector, value: trimmed(parameters.get(first.name) ?? '') };
  return {
    message: `${given.map(({ spelling }) => spelling).join(' and ')} exclude each other: name the identity with one of ${spellings}`,
  };
}

/** A Secret that was made by `echo` ends with a line break. Blanks alone name no identity that exists, and must not become none. */
function trimmed(value: string): string {
  const rest = value.trim();
  return rest === '' ? value : rest;
}
