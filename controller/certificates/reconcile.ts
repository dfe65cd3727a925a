// One pass over the system's own certificates: the CA Secret, then what publishes the CAs, then the leaves, in that order, so that no leaf
// is ever served that a reader of the bundle could not verify. Two replicas that do this at once converge.
import {
  brokerCertificateSecretName,
  caBundleConfigMapName,
  caBundleKey,
  caSecretName,
  webhookCertificateSecretName,
} from '../../api/names.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { Logger } from '../../lib/log.ts';
import { generateKey, issueAuthority, issueLeaf, serviceNames } from '../../lib/tls/issue.ts';
import type { KeyPair } from '../../lib/tls/key-pair.ts';
import type { Authorities } from './authorities.ts';
import { authorityKeys, bundleOf, planAuthorities, readAuthorities, writeAuthorities } from './authorities.ts';
import { settleCaBundle } from './ca-bundle.ts';
import { isLeafGood, readPair, writePair } from './leaf.ts';
import { settleConfigMap, settleSecret } from './store.ts';

export interface CertificateOptions {
  client: KubeClient;
  log: Logger;
  /** The release namespace. */
  namespace: string;
  webhookService: string;
  brokerService: string;
  /** Name of the MutatingWebhookConfiguration. */
  webhookConfiguration: string;
  now: () => Date;
  random: (bytes: number) => Uint8Array;
}

/** Throws what the API server answered; what was done before stays done, and the next pass goes on from there. */
export async function reconcileCertificates(options: CertificateOptions, signal: AbortSignal): Promise<void> {
  const { client, log, namespace } = options;
  const authorities = await settleAuthorities(options, signal);
  const bundle = bundleOf(authorities);
  await settleConfigMap({ client, namespace, signal }, caBundleConfigMapName, (data) =>
    data[caBundleKey] === bundle ? undefined : { data: { [caBundleKey]: bundle } },
  );
  const outcome = await settleCaBundle(client, options.webhookConfiguration, bundle, namespace, signal);
  if (outcome !== 'unchanged') log.info({ configuration: options.webhookConfiguration, outcome }, 'CA bundle of the webhook');
  await settleLeaf(options, signal, authorities.current, webhookCertificateSecretName, options.webhookService);
  await settleLeaf(options, signal, authorities.current, brokerCertificateSecretName, options.brokerService);
}

async function settleAuthorities(options: CertificateOptions, signal: AbortSignal): Promise<Authorities> {
  const { client, log, namespace } = options;
  const issue = async () => issueAuthority({ now: options.now(), key: await generateKey(), serial: options.random(16) });
  let settled: Authorities | undefined;
  await settleSecret({ client, namespace, signal }, caSecretName, 'Opaque', async (data) => {
    const stored = readAuthorities(data);
    const kept = planAuthorities(stored, options.now());
    settled = { ...kept, current: kept.current ?? (await issue()), next: kept.next ?? (await issue()) };
    if (stored.current === settled.current && stored.next === settled.next && stored.previous === settled.previous) return undefined;
    log.info(
      { secret: caSecretName, rotated: stored.next !== undefined && stored.next === settled.current },
      'certificate authorities issued',
    );
    return { data: writeAuthorities(settled), ...(settled.previous === undefined ? { drop: [authorityKeys.previous] } : {}) };
  });
  // The callback ran at least once, and its last run is what the Secret holds.
  if (settled === undefined) throw new Error('the CA Secret was not settled');
  return settled;
}

async function settleLeaf(
  options: CertificateOptions,
  signal: AbortSignal,
  authority: KeyPair,
  secret: string,
  service: string,
): Promise<void> {
  const { client, log, namespace } = options;
  const names = serviceNames(service, namespace);
  await settleSecret({ client, namespace, signal }, secret, 'kubernetes.io/tls', async (data) => {
    const leaf = readPair(data);
    if (leaf !== undefined && isLeafGood(leaf, authority.certificate, names, options.now())) return undefined;
    log.info({ secret, renewal: leaf !== undefined }, 'certificate issued');
    return { data: writePair(issueLeaf(authority, names, { now: options.now(), key: await generateKey(), serial: options.random(16) })) };
  });
}
