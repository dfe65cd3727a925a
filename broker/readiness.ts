// When sidecars can ask this replica: its caches are complete, and it has a certificate to serve with.
import type { IdentityInformers } from '../lib/identities/informers.ts';
import type { ServingCertificate } from '../lib/tls/serving-certificate.ts';

export interface ReadinessState {
  informers: Pick<IdentityInformers, 'synced' | 'waitingFor'>;
  certificate: Pick<ServingCertificate, 'problem'>;
  draining: boolean;
}

/** What is still missing, in one line; undefined when ready. */
export function missing({ informers, certificate, draining }: ReadinessState): string | undefined {
  if (draining) return 'stopping';
  if (!informers.synced) return `waiting for the list of ${informers.waitingFor().join(', ')}`;
  return certificate.problem;
}
