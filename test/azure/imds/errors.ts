// Error answers of IMDS: flat objects of two strings. docs/reference/imds.md#errors
import type { Answer } from '../core/messages.ts';
import { json } from '../core/messages.ts';

export const problem = (status: number, error: string, description: string, headers: Readonly<Record<string, string>> = {}): Answer =>
  json(status, { error, error_description: description }, headers);

export const invalid = (description: string): Answer => problem(400, 'invalid_request', description);

export const identityNotFound = (): Answer => invalid('Identity not found');

export const severalIdentities = (): Answer =>
  invalid('Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request');

export const throttled = (): Answer => problem(429, 'invalid_request', 'Temporarily throttled, too many requests');

export function unknownResource(resource: string, tenantId: string): Answer {
  const hint =
    'This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant. You might have sent your authentication request to the wrong tenant.';
  return problem(
    400,
    'invalid_resource',
    `AADSTS500011: The resource principal named ${resource} was not found in the tenant named ${tenantId}. ${hint}`,
  );
}
