import { createHash } from 'node:crypto';

const prefix = 'aad-pod-identity-';

/** Equal for the same issuer and subject, so that a write that is repeated makes no second credential. */
export const credentialNameOf = ({ issuer, subject }: { issuer: string; subject: string }): string =>
  prefix +
  createHash('sha256')
    .update(issuer + subject)
    .digest('hex')
    .slice(0, 10);

/** Made by this controller, here or in another cluster. */
export const hasOurPattern = (name: string): boolean => name.startsWith(prefix) && /^[0-9a-f]{10}$/.test(name.slice(prefix.length));
