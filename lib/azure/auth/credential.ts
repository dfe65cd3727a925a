// Tokens for Resource Manager. Applications sign in through MSAL, the node's managed identity through IMDS itself: MSAL's own managed identity client
// keeps its source, network and tokens in statics of the process and lets environment variables redirect it (spec/azure-protocols.md 2.3).
import { readFile } from 'node:fs/promises';

import type { INetworkModule } from '@azure/msal-node';
import type { Cloud } from '../clouds.ts';
import type { Material } from './application-token.ts';
import { applicationToken, EntraError } from './application-token.ts';
import { readClientCertificate } from './client-certificate.ts';
import { imdsToken } from './imds-token.ts';

export interface AccessToken {
  readonly token: string;
  /** Milliseconds since the epoch. */
  readonly expiresOnTimestamp: number;
  readonly refreshAfterTimestamp?: number;
}

/** What the Azure SDK asks a credential for. */
export interface TokenCredential {
  getToken(scopes: string | string[], options?: { claims?: string }): Promise<AccessToken>;
}

/** A secret in memory, or a file that is read anew for each sign-in, so that a rotated one is taken up. */
export type SecretSource = { readonly text: string } | { readonly file: string };

export type SignIn =
  /** Of the node; without a client id the system-assigned one. */
  | { readonly kind: 'managedIdentity'; readonly clientId: string | undefined }
  | { readonly kind: 'secret'; readonly tenantId: string; readonly clientId: string; readonly secret: SecretSource }
  | {
      readonly kind: 'certificate';
      readonly tenantId: string;
      readonly clientId: string;
      readonly file: string;
      readonly password: SecretSource | undefined;
    }
  | { readonly kind: 'workloadIdentity'; readonly tenantId: string; readonly clientId: string; readonly tokenFile: string };

/** Why there is no token. Never holds a secret or an assertion. */
export class SignInError extends Error {
  override readonly name = 'SignInError';
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, retryAfterSeconds?: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

export interface CredentialOptions {
  cloud: Pick<Cloud, 'authority'>;
  network: INetworkModule;
  /** Origin of IMDS. */
  imdsEndpoint: string;
  userAgent: string;
  /** Milliseconds since the epoch. */
  now(): number;
}

/** `choose` is asked for each sign-in, since azure.json may name another secret or another application by then. */
export function createCredential(choose: () => SignIn, options: CredentialOptions): TokenCredential {
  return onceAtATime(async (scopes, claims) => {
    const signIn = choose();
    if (signIn.kind !== 'managedIdentity') return applicationTokenOf(signIn, scopes, claims, options);
    const [scope = ''] = scopes;
    return imdsToken({ endpoint: options.imdsEndpoint, scope, clientId: signIn.clientId, userAgent: options.userAgent, now: options.now });
  }, options.now);
}

async function applicationTokenOf(
  signIn: Exclude<SignIn, { kind: 'managedIdentity' }>,
  scopes: string[],
  claims: string | undefined,
  { cloud, network }: CredentialOptions,
): Promise<AccessToken> {
  const material = await materialOf(signIn);
  const { tenantId, clientId } = signIn;
  try {
    const granted = await applicationToken({ authority: cloud.authority, tenantId, clientId, material, scopes, claims, network });
    const refreshOn = granted.refreshOn?.getTime();
    return {
      token: granted.accessToken,
      expiresOnTimestamp: granted.expiresOn.getTime(),
      ...(refreshOn === undefined ? {} : { refreshAfterTimestamp: refreshOn }),
    };
  } catch (error) {
    if (!(error instanceof EntraError)) throw error;
    const status = error.status === undefined ? '' : ` (HTTP ${error.status})`;
    throw new SignInError(`sign-in of ${clientId} in tenant ${tenantId} failed${status}: ${error.message}`);
  }
}

async function materialOf(signIn: Exclude<SignIn, { kind: 'managedIdentity' }>): Promise<Material> {
  switch (signIn.kind) {
    case 'secret':
      return { clientSecret: await secretOf(signIn.secret) };
    case 'workloadIdentity':
      return { clientAssertion: await secretOf({ file: signIn.tokenFile }) };
    case 'certificate': {
      const bytes = await readFile(signIn.file).catch((error: unknown) => unreadable(signIn.file, error));
      const password = signIn.password === undefined ? undefined : await secretOf(signIn.password);
      try {
        return { clientCertificate: readClientCertificate(bytes, password) };
      } catch (error) {
        throw new SignInError(`${signIn.file}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
  }
}

async function secretOf(source: SecretSource): Promise<string> {
  if ('text' in source) return source.text;
  const text = (await readFile(source.file, 'utf8').catch((error: unknown) => unreadable(source.file, error))).trim();
  if (text === '') throw new SignInError(`${source.file} is empty`);
  return text;
}

function unreadable(file: string, error: unknown): never {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unreadable';
  throw new SignInError(`${file} cannot be read (${code})`);
}

const firstPauseMs = 1000;
const longestPauseMs = 60_000;

/**
 * Callers share one request, and after a failure none is made for a while: many scopes that fail at once would look like a looping client to Entra
 * (AADSTS50196). The wait is told to the callers, not slept here.
 */
function onceAtATime(acquire: (scopes: string[], claims: string | undefined) => Promise<AccessToken>, now: () => number): TokenCredential {
  let running: { key: string; token: Promise<AccessToken> } | undefined;
  let failed: { error: SignInError; until: number } | undefined;
  let pauseMs = firstPauseMs;

  async function attempt(scopes: string[], claims: string | undefined): Promise<AccessToken> {
    try {
      const token = await acquire(scopes, claims);
      failed = undefined;
      pauseMs = firstPauseMs;
      return token;
    } catch (thrown) {
      const error = thrown instanceof SignInError ? thrown : new SignInError(thrown instanceof Error ? thrown.message : String(thrown));
      failed = { error, until: now() + Math.max(pauseMs, (error.retryAfterSeconds ?? 0) * 1000) };
      pauseMs = Math.min(longestPauseMs, pauseMs * 2);
      throw error;
    }
  }

  return {
    getToken(scopes, options = {}) {
      const list = typeof scopes === 'string' ? [scopes] : scopes;
      const key = JSON.stringify([list, options.claims]);
      if (running?.key === key) return running.token;
      if (failed !== undefined && failed.until > now())
        return Promise.reject(new SignInError(failed.error.message, Math.ceil((failed.until - now()) / 1000)));
      const token = attempt(list, options.claims).finally(() => {
        if (running?.token === token) running = undefined;
      });
      running = { key, token };
      return token;
    },
  };
}
