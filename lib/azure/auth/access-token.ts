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

/** Why there is no token. Never holds a secret or an assertion. */
export class SignInError extends Error {
  override readonly name = 'SignInError';
  readonly retryAfterSeconds: number | undefined;

  constructor(message: string, retryAfterSeconds?: number) {
    super(message);
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
