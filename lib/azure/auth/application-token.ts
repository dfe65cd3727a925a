// One token for an application, through MSAL: for the controller's own sign-in, and for the service principals for which the broker mints tokens.
import type { Configuration, INetworkModule } from '@azure/msal-node';
import { AuthError, ConfidentialClientApplication, ServerError } from '@azure/msal-node';

/** Exactly one of them. */
export interface ClientCredential {
  clientSecret?: string;
  clientAssertion?: string;
  clientCertificate?: { privateKey: string; thumbprintSha256: string; x5c: string };
}

export interface ApplicationRequest {
  /** Origin of Entra, without a trailing slash. */
  authority: string;
  tenantId: string;
  clientId: string;
  credential: ClientCredential;
  scopes: string[];
  claims?: string | undefined;
  network: INetworkModule;
}

export interface ApplicationToken {
  accessToken: string;
  expiresOn: Date;
  refreshOn?: Date;
}

/** Why there is no token, in the words of Entra or MSAL, without the credential. */
export class EntraError extends Error {
  override readonly name = 'EntraError';
  /** Of Entra's response; undefined where there is none. */
  readonly status: number | undefined;

  constructor(message: string, status?: number) {
    super(message);
    this.status = status;
  }
}

/**
 * Throws {@link EntraError}. Each request has a new application object: after a failure of Entra, MSAL's object fails by itself for a minute, and it keeps
 * old credentials.
 */
export async function requestApplicationToken(request: ApplicationRequest): Promise<ApplicationToken> {
  const { clientId, credential, scopes, claims, network } = request;
  const authority = `${request.authority}/${request.tenantId}`;
  const configuration: Configuration = {
    auth: {
      clientId,
      authority,
      knownAuthorities: [new URL(authority).host],
      // The endpoints of a tenant are known; discovery would be one more request that can fail.
      authorityMetadata: JSON.stringify({
        authorization_endpoint: `${authority}/oauth2/v2.0/authorize`,
        token_endpoint: `${authority}/oauth2/v2.0/token`,
        issuer: `${authority}/v2.0`,
        jwks_uri: `${authority}/discovery/v2.0/keys`,
      }),
      ...credential,
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
    throw new EntraError(safeText(error, credential), error instanceof ServerError ? error.status : undefined);
  }
}

function safeText(error: unknown, { clientSecret, clientAssertion }: ClientCredential): string {
  let text =
    error instanceof AuthError ? `${error.errorCode}: ${error.errorMessage}` : error instanceof Error ? error.message : String(error);
  // Before the text is cut, which could leave a part of a secret.
  for (const secret of [clientSecret, clientAssertion]) if (secret !== undefined && secret !== '') text = text.replaceAll(secret, '***');
  return text.slice(0, 600);
}
