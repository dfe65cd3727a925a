// What a sidecar tells of itself on loopback, for `sidecar.js status` and the kubectl plugin. It has no token, and nothing that its pod may not know.
import type { IdentityRow } from './broker.ts';

export const sidecarStatusPath = '/aad-pod-identity/status';

export interface SidecarStatus {
  version: string;
  broker: {
    /** `host:port` of the last call. */
    address: string;
    /** Seconds since the broker last answered; absent where it never did. */
    answeredSecondsAgo?: number;
    /** Why the last call failed; absent where it succeeded. */
    error?: string;
  };
  excepted: boolean;
  /** The broker says that this pod takes part no longer. */
  revoked?: { code: string; message: string };
  /** `namespace/name` of the identity that answers requests which name none. */
  defaultIdentity?: string;
  identities: readonly IdentityRow[];
  cachedTokens: number;
}
