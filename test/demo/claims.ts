/** The payload of a JWT, without a check of its signature: for showing, not for trusting. Throws for a text that is not a JWT. */
export function claimsOf(token: string): Record<string, unknown> {
  const payload = token.split('.')[1];
  if (payload === undefined) throw new Error('the token is not a JWT');
  const claims: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'));
  if (typeof claims !== 'object' || claims === null) throw new Error('the claims of the token are not a JSON object');
  return { ...claims };
}
