import { identityIdOf } from '../azure/resource-ids.ts';

/** A client id or a resource id: a name alone, or one with a typing error, would protect nothing without anybody noticing. */
export const namesIdentity = (text: string): boolean =>
  /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text) || identityIdOf(text) !== undefined;

/**
 * Tells which identities are never detached, whoever attached them. `listed`: client ids or resource ids in any case, the controller's own among
 * them; empty ones do not count.
 */
export function protectedIdentities(listed: readonly string[]): (id: string, clientId: string | undefined) => boolean {
  const known = new Set(listed.map((entry) => entry.toLowerCase()).filter((entry) => entry !== ''));
  return (id, clientId) => known.has(id.toLowerCase()) || (clientId !== undefined && known.has(clientId.toLowerCase()));
}
