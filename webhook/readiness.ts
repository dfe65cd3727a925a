// When the webhook may be asked: only if an admission sent now would be answered, and its answer trusted (design 4).

import { parseCertificates, verifies } from './certificate.ts';
import type { WebhookInformers } from './informers.ts';

/** What is still missing, in one line; undefined when ready. */
export function missing(
  caches: Pick<WebhookInformers, 'synced' | 'certificate' | 'caBundle' | 'trusted'>,
  state: { nativeKnown: boolean; draining: boolean; webhookConfiguration: string; now: Date },
): string | undefined {
  if (state.draining) return 'stopping';
  if (!caches.synced) return 'first lists of the API server are not in yet';
  if (!state.nativeKnown) return 'version of the API server is not known yet';
  const { certificate } = caches;
  if (certificate === undefined) return 'no serving certificate: the controller has not made one yet';
  if (caches.caBundle === undefined) return 'no CA bundle for the sidecars: the controller has not published one yet';
  if (caches.trusted.length === 0) return `MutatingWebhookConfiguration ${state.webhookConfiguration} is not there`;
  if (!caches.trusted.every((pem) => verifies(certificate.chain, parseCertificates(pem), state.now)))
    return `caBundle of MutatingWebhookConfiguration ${state.webhookConfiguration} does not verify the serving certificate`;
  return undefined;
}
