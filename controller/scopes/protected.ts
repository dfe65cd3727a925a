import { identityIdOf } from '../../lib/azure/resource-ids.ts';

/** A client id or a resource id: a name alone, or one with a typing error, would protect nothing without anybody noticing. */
export const namesIdentity = (text: string): boolean =>
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) || identityIdOf(text) !== undefined;

/**
 * True for an identity that is never detached, whoever attached it. `listed`: client ids or resource ids in any case, the controller's own among
 * them; empty ones do not count.
 */
export function isProtected(listed: readonly string[], id: string, clientId: string | undefined): boolean {
  const names = [id, clientId ?? ''].map((name) => name.toLowerCase());
  return listed.some((entry) => entry !== '' && names.includes(entry.toLowerCase()));
}
