/**
 * Tells which identities are never detached, whoever attached them. `listed`: client ids or resource ids in any case, the controller's own among
 * them; empty ones do not count.
 */
export function protectedIdentities(listed: readonly string[]): (id: string, clientId: string | undefined) => boolean {
  const known = new Set(listed.map((entry) => entry.toLowerCase()).filter((entry) => entry !== ''));
  return (id, clientId) => known.has(id.toLowerCase()) || (clientId !== undefined && known.has(clientId.toLowerCase()));
}
