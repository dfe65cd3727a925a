/** An answer of the API server that is not a success. */
export class KubeError extends Error {
  override readonly name = 'KubeError';
  /** HTTP status. */
  readonly status: number;
  /** `reason` of the Status object, such as `NotFound`, `AlreadyExists`, `Conflict`, `Expired`; empty if the answer had none. */
  readonly reason: string;
  readonly retryAfterSeconds: number | undefined;

  constructor(status: number, reason: string, message: string, retryAfterSeconds?: number) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** A watch on which nothing came for too long, not even a bookmark: most often nothing happened. */
export class IdleWatchError extends Error {
  override readonly name = 'IdleWatchError';

  constructor(ms: number) {
    super(`no watch event for ${ms} ms`);
  }
}

export const isNotFound = (error: unknown): boolean => error instanceof KubeError && error.status === 404;
/** Lost a race: the object changed since it was read. */
export const isConflict = (error: unknown): boolean =>
  error instanceof KubeError && error.status === 409 && error.reason !== 'AlreadyExists';
export const isAlreadyExists = (error: unknown): boolean =>
  error instanceof KubeError && error.status === 409 && error.reason === 'AlreadyExists';
/** The resourceVersion asked for is no longer kept: list anew. */
export const isGone = (error: unknown): boolean => error instanceof KubeError && error.status === 410;
/** The API server, or a policy in it, does not take this very object. */
export const isInvalid = (error: unknown): boolean => error instanceof KubeError && [400, 413, 422].includes(error.status);
/** An RBAC rule is missing, or an admission policy says no. */
export const isForbidden = (error: unknown): boolean => error instanceof KubeError && error.status === 403;
/** The namespace is being deleted: nothing new may be created in it, and what is there goes. */
export const isNamespaceTerminating = (error: unknown): boolean =>
  isForbidden(error) && /because it is being terminated$/.test(String(error));
