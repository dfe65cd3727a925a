/** The immutable list (client ids or resource ids, any case) and the controller's own identity: never detached, whoever attached them. */
export function protectedIdentities(settings: {
  immutableUserMsis: readonly string[];
  userAssignedMsiClientId: string;
}): (id: string, clientId: string | undefined) => boolean {
  const listed = new Set(
    [...settings.immutableUserMsis, settings.userAssignedMsiClientId].map((entry) => entry.toLowerCase()).filter((entry) => entry !== ''),
  );
  return (id, clientId) => listed.has(id.toLowerCase()) || (clientId !== undefined && listed.has(clientId.toLowerCase()));
}
