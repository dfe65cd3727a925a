// One token for an application, through MSAL: for the controller itself and for the service principals that it mints for.
import type { Configuration, INetworkModule } from '@azure/msal-node';
import { AuthError, ConfidentialClientApplication, ServerError } from '@azure/msal-node';

/** How the application proves that it is it; exactly one of them. */
export interface Material {
  clientSecret?: string;
  clientAssertion?: string;
  clientCertificate?: { privateKey: string; thumbprintSha256: string; x5c: string };
}

export interface ApplicationRequest {
  /** Origin of Entra, without a trailing slash. */
  authority: string;
  tenantId: string;
  clientId: string;
  material: Material;
  scopes: string[];
  claims?: string | undefined;
  network: INetworkModule;
}

export interface Granted {
  accessToken: string;
  expiresOn: Date;
  refreshOn?: Date;
}

/** Why there is no token, in Entra's or MSAL's words, without what was sent to prove anything. */
export class EntraError extends Error {
  override readonly name = 'EntraError';
  /** Of Entra's answer; undefined where none came. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/**
 * A new application object each time: it would answer a failure of Entra with failures of its own for a minute, and keep old key material.
 * Throws {@link EntraError}.
 */
export async function applicationToken({
  tenantId,
  clientId,
  material,
  scopes,
  claims,
  network,
  ...request
}: ApplicationRequest): Promise<Granted> {
  const authority = `${request.authority}/${tenantId}`;
  const configuration: Configuration = {
    auth: {
      clientId,
      authority,
      knownAuthorities: [new URL(authority).host],
      // Entra's addresses are fixed; asking for them first would only add a way to fail.
      authorityMetadata: JSON.stringify({
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
        token_endpoint: `${authority}/oauth2/v2.0/token`,
        issuer: `${authority}/v2.0`,
        jwks_uri: `${authority}/discovery/v2.0/keys`,
      }),
      ...material,
    },
    system: { networkClient: network },
  };
  try {
    const application = new ConfidentialClientApplication(configuration);
    const result = await application.acquireTokenByClientCredential({ scopes, ...(claims === undefined ? {} : { claims }) });
    if (result === null || result.expiresOn === null) throw new EntraError('Entra answered without a token');
    const { accessToken, expiresOn, refreshOn } = result;
    return { accessToken, expiresOn, ...(refreshOn === undefined ? {} : { refreshOn }) };
  } catch (error) {
    if (error instanceof EntraError) throw error;
    throw new EntraError(safeText(error, material), error instanceof ServerError ? error.status : undefined);
  }
}

function safeText(error: unknown, { clientSecret, clientAssertion }: Material): string {
  let text =
    error instanceof AuthError ? `${error.errorCode}: ${error.errorMessage}` : error instanceof Error ? error.message : String(error);
  // Before the cut, which could leave a part of a secret that is not recognised any more.
  for (const secret of [clientSecret, clientAssertion]) if (secret !== undefined && secret !== '') text = text.replaceAll(secret, '***');
  return text.slice(0, 600);
}
