// One token for an application, through MSAL: for the controller's own sign-in, and for the service principals for which the broker mints tokens.
import type { AuthError, Configuration, INetworkModule, NetworkResponse } from '@azure/msal-node';
import { at, stringAt } from '../../kube/objects.ts';
import { parseRetryAfter } from '../retry-after.ts';

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
  /** What the caller can do with the token, such as `cp1` for continuous access evaluation. */
  capabilities?: readonly string[];
  network: INetworkModule;
}

export interface ApplicationToken {
  accessToken: string;
  expiresOn: Date;
  refreshOn?: Date;
  /** Of Entra's response: its sign-in log has it too. */
  requestId?: string;
}

/** Of Entra's response; each part is undefined where the response lacks it, or where there is none. */
export interface EntraErrorDetails {
  status?: number | undefined;
  /** The number after `AADSTS`. */
  aadsts?: number | undefined;
  /** OAuth's code, such as `invalid_client`. */
  error?: string | undefined;
  requestId?: string | undefined;
  retryAfterSeconds?: number | undefined;
}

/** Why there is no token, in the words of Entra or MSAL, without the credential. */
export class EntraError extends Error {
  override readonly name = 'EntraError';
  readonly details: EntraErrorDetails;

  constructor(message: string, details: EntraErrorDetails = {}) {
    super(message);
    this.details = details;
  }

  get status(): number | undefined {
    return this.details.status;
  }
}

/**
 * Throws {@link EntraError}. Each request has a new application object: after a failure of Entra, MSAL's object fails by itself for a minute, and it keeps
 * old credentials.
 */
export async function requestApplicationToken(request: ApplicationRequest): Promise<ApplicationToken> {
  // Loaded when it is used: a controller with the managed identity of its node never does (docs/reference/node-runtime.md#memory).
  const msal = await import('@azure/msal-node');
  const { clientId, credential, scopes, claims, capabilities } = request;
  const network = observe(request.network);
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
      ...(capabilities === undefined ? {} : { clientCapabilities: [...capabilities] }),
    },
    system: { networkClient: network.module },
  };
  try {
    const application = new msal.ConfidentialClientApplication(configuration);
    const result = await application.acquireTokenByClientCredential({ scopes, ...(claims === undefined ? {} : { claims }) });
    if (result === null || result.expiresOn === null) throw new EntraError('Entra answered without a token');
    const { accessToken, expiresOn, refreshOn } = result;
    const requestId = network.last?.headers['x-ms-request-id'];
    return { accessToken, expiresOn, ...(refreshOn === undefined ? {} : { refreshOn }), ...(requestId === undefined ? {} : { requestId }) };
  } catch (error) {
    if (error instanceof EntraError) throw error;
    const status = error instanceof msal.ServerError ? error.status : undefined;
    const text = error instanceof msal.AuthError ? textOf(error) : error instanceof Error ? error.message : String(error);
    throw new EntraError(safeText(text, credential), { ...detailsOf(network.last), status });
  }
}

/** MSAL keeps neither the headers of a response nor its list of codes. */
function observe(network: INetworkModule): { module: INetworkModule; readonly last: NetworkResponse<unknown> | undefined } {
  let last: NetworkResponse<unknown> | undefined;
  const module: INetworkModule = {
    sendGetRequestAsync: (url, options, timeout) => network.sendGetRequestAsync(url, options, timeout),
    async sendPostRequestAsync<T>(...sent: Parameters<INetworkModule['sendPostRequestAsync']>) {
      const response = await network.sendPostRequestAsync<T>(...sent);
      last = response;
      return response;
    },
  };
  return {
    module,
    get last() {
      return last;
    },
  };
}

function detailsOf(response: NetworkResponse<unknown> | undefined): EntraErrorDetails {
  if (response === undefined) return {};
  const { body, headers } = response;
  const codes = at(body, 'error_codes');
  const first: unknown = Array.isArray(codes) ? codes[0] : undefined;
  const inText = /AADSTS(?<code>\d{4,9})/.exec(stringAt(body, 'error_description') ?? '')?.groups?.code;
  return {
    aadsts: typeof first === 'number' ? first : inText === undefined ? undefined : Number(inText),
    error: stringAt(body, 'error'),
    requestId: headers['x-ms-request-id'] ?? stringAt(body, 'trace_id'),
    retryAfterSeconds: parseRetryAfter(headers['retry-after'], new Date()),
  };
}

const textOf = ({ errorCode, errorMessage }: AuthError): string => `${errorCode}: ${errorMessage}`;

function safeText(given: string, { clientSecret, clientAssertion }: ClientCredential): string {
  let text = given;
  // Before the text is cut, which could leave a part of a secret.
  for (const secret of [clientSecret, clientAssertion]) if (secret !== undefined && secret !== '') text = text.replaceAll(secret, '***');
  return text.slice(0, 600);
}
