// The controller's tokens for Resource Manager. Applications sign in through MSAL, the managed identity of the node through IMDS itself: MSAL's own client
// for managed identities keeps its source, network and tokens in statics of the process, and environment variables can redirect it
// (docs/reference/client-libraries.md).
import { readFile } from 'node:fs/promises';
import type { INetworkModule } from '@azure/msal-node';
import type { Clock } from '../../../common/clock.ts';
import type { Cloud } from '../clouds.ts';
import type { AccessToken, TokenCredential } from './access-token.ts';
import { SignInError } from './access-token.ts';
import type { ClientCredential } from './application-token.ts';
import { EntraError, requestApplicationToken } from './application-token.ts';
import { readClientCertificate } from './client-certificate.ts';
import { requestImdsToken } from './imds-token.ts';
import type { SecretSource, SignIn } from './sign-in.ts';
import { singleFlight } from './single-flight.ts';

export interface CredentialOptions {
  cloud: Pick<Cloud, 'authority'>;
  network: INetworkModule;
  /** Origin of IMDS. */
  imdsEndpoint: string;
  userAgent: string;
  clock: Clock;
}

/** `choose` runs for each sign-in, since azure.json may name another secret or another application by then. */
export function createCredential(choose: () => SignIn, options: CredentialOptions): TokenCredential {
  const { imdsEndpoint: endpoint, userAgent, clock } = options;
  return singleFlight(async (scopes, claims) => {
    const signIn = choose();
    if (signIn.kind !== 'managedIdentity') return requestToken(signIn, scopes, claims, options);
    const [scope = ''] = scopes;
    return requestImdsToken({ endpoint, scope, clientId: signIn.clientId, userAgent, clock });
  }, clock);
}

type ApplicationSignIn = Exclude<SignIn, { kind: 'managedIdentity' }>;

async function requestToken(
  signIn: ApplicationSignIn,
  scopes: string[],
  claims: string | undefined,
  { cloud, network }: CredentialOptions,
): Promise<AccessToken> {
  const credential = await readCredential(signIn);
  const { tenantId, clientId } = signIn;
  try {
    const issued = await requestApplicationToken({ authority: cloud.authority, tenantId, clientId, credential, scopes, claims, network });
    const refreshOn = issued.refreshOn?.getTime();
    return {
      token: issued.accessToken,
      expiresOnTimestamp: issued.expiresOn.getTime(),
      ...(refreshOn === undefined ? {} : { refreshAfterTimestamp: refreshOn }),
    };
  } catch (error) {
    if (!(error instanceof EntraError)) throw error;
    const status = error.status === undefined ? '' : ` (HTTP ${error.status})`;
    throw new SignInError(`sign-in of ${clientId} in tenant ${tenantId} failed${status}: ${error.message}`);
  }
}

async function readCredential(signIn: ApplicationSignIn): Promise<ClientCredential> {
  switch (signIn.kind) {
    case 'secret':
      return { clientSecret: await readSecret(signIn.secret) };
    case 'workloadIdentity':
      return { clientAssertion: await readSecret({ file: signIn.tokenFile }) };
    case 'certificate': {
      const bytes = await readFile(signIn.file).catch((error: unknown) => unreadable(signIn.file, error));
      const password = signIn.password === undefined ? undefined : await readSecret(signIn.password);
      try {
        return { clientCertificate: await readClientCertificate(bytes, password) };
      } catch (error) {
        throw new SignInError(`${signIn.file}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}

async function readSecret(source: SecretSource): Promise<string> {
  if ('text' in source) return source.text;
  const text = (await readFile(source.file, 'utf8').catch((error: unknown) => unreadable(source.file, error))).trim();
  if (text === '') throw new SignInError(`${source.file} is empty`);
  return text;
}

function unreadable(file: string, error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
  throw new SignInError(`${file} cannot be read (${code})`);
}
