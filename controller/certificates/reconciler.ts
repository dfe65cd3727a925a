// One reconciliation of the certificates: the CA Secret, then whatever publishes the CAs, then the leaves. In this order no leaf is served that a client
// with the published bundle cannot verify (docs/adr/0016-certificates-in-two-generations.md). Two replicas that reconcile at the same time converge.
// Of certificates that others issue it only publishes the CAs (docs/adr/0034-certificates-of-others.md).
import { brokerCertificateSecretName, caBundleConfigMapName, caSecretName, webhookCertificateSecretName } from '../../api/names.ts';
import type { Clock } from '../../common/clock.ts';
import type { KubeClient } from '../../lib/kube/client.ts';
import type { Logger } from '../../lib/log.ts';
import { readBundle } from '../../lib/tls/ca-bundle.ts';
import type { IssueContext } from '../../lib/tls/issue.ts';
import { generateKey, issueAuthority, issueLeaf, serviceNames } from '../../lib/tls/issue.ts';
import type { KeyPair } from '../../lib/tls/key-pair.ts';
import type { Authorities } from './authorities.ts';
import { authorityKeys, bundleOf, planAuthorities, readAuthorities, writeAuthorities } from './authorities.ts';
import { planBundle } from './bundle.ts';
import type { ExternalCertificates } from './external.ts';
import { readExternal } from './external.ts';
import { isLeafGood, readPair, writePair } from './leaf.ts';
import { ensureConfigMap, ensureSecret } from './store.ts';
import type { Registration } from './webhook-configuration.ts';
import { ensureEntries, registeredBundle } from './webhook-configuration.ts';
import type { WebhookEntry } from './webhook-entries-setting.ts';

export interface CertificateOptions {
  client: KubeClient;
  log: Logger;
  /** The release namespace. */
  namespace: string;
  webhookService: string;
  brokerService: string;
  /** Name of the MutatingWebhookConfiguration. */
  webhookConfiguration: string;
  /** Its entries. Empty: others write them. */
  webhookEntries: readonly WebhookEntry[];
  /** Undefined: this controller issues all certificates. */
  external: ExternalCertificates | undefined;
  clock: Clock;
  random: (bytes: number) => Uint8Array;
}

export interface CertificateState {
  registration: Registration;
  /** Why the CAs of others are not published as they are now, in one line for people. What was published before stays. */
  problem: string | undefined;
}

/**
 * Throws as the API server answered. Whatever was written before stays, and the next reconciliation continues from there. `isWebhookServing` allows to
 * add entries to the webhook configuration: pods are refused while the API server calls a webhook that is not there.
 */
export async function reconcileCertificates(
  options: CertificateOptions,
  isWebhookServing: boolean,
  signal: AbortSignal,
): Promise<CertificateState> {
  const { log, external } = options;
  if (external !== undefined) {
    const { bundle, problem } = readExternal(external, new Date(options.clock.wall()));
    if (problem !== undefined) log.error({ error: problem }, 'certificate refused: the CAs that were published stay');
    return { registration: await publish(options, bundle, isWebhookServing, signal), problem };
  }
  const authorities = await ensureAuthorities(options, signal);
  const registration = await publish(options, bundleOf(authorities), isWebhookServing, signal);
  await ensureLeaf(options, signal, {
    authority: authorities.current,
    secret: webhookCertificateSecretName,
    service: options.webhookService,
  });
  await ensureLeaf(options, signal, {
    authority: authorities.current,
    secret: brokerCertificateSecretName,
    service: options.brokerService,
  });
  return { registration, problem: undefined };
}

/** Without `wanted` it repairs what was published before. */
async function publish(
  options: CertificateOptions,
  wanted: string | undefined,
  isServing: boolean,
  signal: AbortSignal,
): Promise<Registration> {
  const { client, log, namespace, webhookConfiguration: name, webhookEntries: entries, clock } = options;
  const registered = await registeredBundle({ client, name, signal });
  const data = await ensureConfigMap({ client, namespace, signal }, caBundleConfigMapName, (stored) =>
    wanted === undefined ? undefined : planBundle({ stored, wanted, registered, now: new Date(clock.wall()) }),
  );
  const bundle = readBundle(data)?.bundle;
  if (bundle === undefined) return 'waiting';
  const { registration, written } = await ensureEntries({ client, name, entries, bundle, isServing, signal });
  if (written) log.info({ configuration: name, registration }, 'webhook configuration written');
  return registration;
}

async function ensureAuthorities(options: CertificateOptions, signal: AbortSignal): Promise<Authorities> {
  const { client, log, namespace, clock } = options;
  const issue = async () => issueAuthority(await issueContext(options));
  let authorities: Authorities | undefined;
  await ensureSecret({ client, namespace, signal }, caSecretName, 'Opaque', async (data) => {
    const stored = readAuthorities(data);
    const kept = planAuthorities(stored, new Date(clock.wall()));
    authorities = { ...kept, current: kept.current ?? (await issue()), next: kept.next ?? (await issue()) };
    if (stored.current === authorities.current && stored.next === authorities.next && stored.previous === authorities.previous)
      return undefined;
    log.info(
      { secret: caSecretName, rotated: stored.next !== undefined && stored.next === authorities.current },
      'certificate authorities issued',
    );
    return { data: writeAuthorities(authorities), ...(authorities.previous === undefined ? { drop: [authorityKeys.previous] } : {}) };
  });
  // The callback has run, and its last result is what the Secret holds.
  if (authorities === undefined) throw new Error('the CA Secret was not read');
  return authorities;
}

interface Leaf {
  authority: KeyPair;
  secret: string;
  service: string;
}

async function ensureLeaf(options: CertificateOptions, signal: AbortSignal, { authority, secret, service }: Leaf): Promise<void> {
  const { client, log, namespace, clock } = options;
  const names = serviceNames(service, namespace);
  await ensureSecret({ client, namespace, signal }, secret, 'kubernetes.io/tls', async (data) => {
    const leaf = readPair(data);
    if (leaf !== undefined && isLeafGood(leaf, authority.certificate, names, new Date(clock.wall()))) return undefined;
    log.info({ secret, renewal: leaf !== undefined }, 'certificate issued');
    return { data: writePair(issueLeaf(authority, names, await issueContext(options))) };
  });
}

const issueContext = async ({ clock, random }: CertificateOptions): Promise<IssueContext> => ({
  now: new Date(clock.wall()),
  key: await generateKey(),
  serial: random(16),
});
