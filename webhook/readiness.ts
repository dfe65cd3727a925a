// When the webhook can be called: an admission sent now would be answered, and the API server would trust the answer. Without entries it is not called:
// the controller adds them, with a caBundle, once a webhook is ready.
import { parseCertificates } from '../lib/tls/key-pair.ts';
import type { ServingCertificate } from '../lib/tls/serving-certificate.ts';
import { isTrusted } from '../lib/tls/trust.ts';
import type { WebhookInformers } from './informers.ts';

export interface ReadinessState {
  informers: Pick<WebhookInformers, 'synced' | 'trusted'>;
  certificate: Pick<ServingCertificate, 'synced' | 'keyPair' | 'problem'>;
  nativeKnown: boolean;
  draining: boolean;
  webhookConfiguration: string;
  now: Date;
}

/** What is still missing, in one line; undefined when ready. */
export function missing({ informers, certificate, webhookConfiguration, ...state }: ReadinessState): string | undefined {
  if (state.draining) return 'stopping';
  if (!informers.synced || !certificate.synced) return 'first lists of the API server are not in yet';
  if (!state.nativeKnown) return 'version of the API server is not known yet';
  if (certificate.problem !== undefined) return certificate.problem;
  if (!informers.trusted.every((pem) => isTrusted(certificate.keyPair?.chain ?? [], parseCertificates(pem), state.now)))
    return `caBundle of MutatingWebhookConfiguration ${webhookConfiguration} does not verify the serving certificate`;
  return undefined;
}
