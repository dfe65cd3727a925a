// What the webhook knows of the cluster: local copies, so that no admission waits for a call (spec/injection.md 2.21).
import { annotations, caBundleConfigMapName, caBundleKey, webhookCertificateSecretName } from '../api/names.ts';
import type { PodException } from '../lib/identities/exceptions.ts';
import { podLabelsOf } from '../lib/identities/exceptions.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { Informer } from '../lib/kube/informer.ts';
import { startInformer } from '../lib/kube/informer.ts';
import { at, stringAt } from '../lib/kube/objects.ts';
import type { Resource } from '../lib/kube/resources.ts';
import {
  azurePodIdentityExceptions,
  configMaps,
  mutatingWebhookConfigurations,
  namespaces,
  secrets,
  services,
} from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import type { ServingCertificate } from './certificate.ts';
import { parseServingCertificate } from './certificate.ts';
import type { NamespaceFacts } from './decide.ts';

export interface Caches {
  /** Whether every copy has had its first list. */
  readonly synced: boolean;
  exceptionsOf(namespace: string): Iterable<PodException>;
  /** Waits a moment for a namespace that was made just before the pod, then goes on without its facts. */
  namespace(name: string, waitMs: number): Promise<NamespaceFacts>;
  /** The last good one. */
  readonly certificate: ServingCertificate | undefined;
  /** PEM. */
  readonly caBundle: string | undefined;
  /** ClusterIP of the broker's Service. */
  readonly brokerAddress: string | undefined;
  /** PEM of every entry of our webhook configuration; an entry without one is empty. */
  readonly trusted: readonly string[];
  /** Called after the certificate, the bundle or the configuration changed. */
  onCertificates(listener: () => void): void;
  stop(): Promise<void>;
}

export interface CachesOptions {
  client: KubeClient;
  log: Logger;
  /** Release namespace. */
  namespace: string;
  brokerService: string;
  webhookConfiguration: string;
}

export function startCaches({ client, log, namespace, brokerService, webhookConfiguration }: CachesOptions): Caches {
  const one = <T>(resource: Resource, name: string, project: (raw: unknown) => T | undefined): Informer<T> =>
    startInformer({ client, log, resource, namespace, fieldSelector: `metadata.name=${name}`, project });

  const exceptions = exceptionsByNamespace(client, log);
  const spaces = startInformer({ client, log, resource: namespaces, project: factsOf });
  const secret = one(secrets, webhookCertificateSecretName, (raw) => raw);
  const bundle = one(configMaps, caBundleConfigMapName, (raw) => stringAt(raw, 'data', caBundleKey));
  const broker = one(services, brokerService, clusterIpOf);
  const configuration = startInformer({
    client,
    log,
    resource: mutatingWebhookConfigurations,
    fieldSelector: `metadata.name=${webhookConfiguration}`,
    project: caBundlesOf,
  });
  const all = [exceptions.informer, spaces, secret, bundle, broker, configuration];

  let certificate: ServingCertificate | undefined;
  const listeners = new Set<() => void>();
  const tell = () => {
    for (const listener of listeners) listener();
  };
  secret.onChange(({ after }) => {
    if (after === undefined) return;
    try {
      certificate = parseServingCertificate(after);
    } catch (error) {
      const kept = certificate === undefined ? 'there is none to serve with yet' : 'the one before stays in use';
      log.error({ secret: webhookCertificateSecretName, problem: String(error) }, `serving certificate refused, ${kept}`);
    }
    tell();
  });
  bundle.onChange(tell);
  configuration.onChange(tell);

  return {
    get synced() {
      return all.every((informer) => informer.synced);
    },
    exceptionsOf: exceptions.of,
    namespace: (name, waitMs) => factsWhenKnown(spaces, name, waitMs),
    get certificate() {
      return certificate;
    },
    get caBundle() {
      return first(bundle);
    },
    get brokerAddress() {
      return first(broker);
    },
    get trusted() {
      return first(configuration) ?? [];
    },
    onCertificates: (listener) => void listeners.add(listener),
    stop: async () => {
      await Promise.all(all.map((informer) => informer.stop()));
    },
  };
}

const first = <T>(informer: Informer<T>): T | undefined => informer.values().next().value;

/** Kept by namespace: an admission looks only at those of the pod's own. */
function exceptionsByNamespace(client: KubeClient, log: Logger) {
  const byNamespace = new Map<string, Map<string, PodException>>();
  const informer = startInformer<PodException>({
    client,
    log,
    resource: azurePodIdentityExceptions,
    project: (raw) => ({ name: stringAt(raw, 'metadata', 'name') ?? '', podLabels: podLabelsOf(raw) }),
  });
  informer.onChange(({ key, after }) => {
    const namespace = key.slice(0, key.indexOf('/'));
    const group = byNamespace.get(namespace) ?? new Map<string, PodException>();
    if (after === undefined) group.delete(key);
    else group.set(key, after);
    if (group.size === 0) byNamespace.delete(namespace);
    else byNamespace.set(namespace, group);
  });
  return { informer, of: (namespace: string): Iterable<PodException> => byNamespace.get(namespace)?.values() ?? [] };
}

function factsOf(raw: unknown): NamespaceFacts {
  return {
    name: stringAt(raw, 'metadata', 'name') ?? '',
    podSecurity: stringAt(raw, 'metadata', 'labels', 'pod-security.kubernetes.io/enforce'),
    interception: stringAt(raw, 'metadata', 'annotations', annotations.interception),
  };
}

async function factsWhenKnown(spaces: Informer<NamespaceFacts>, name: string, waitMs: number): Promise<NamespaceFacts> {
  const known = spaces.get(name);
  if (known !== undefined) return known;
  return new Promise((resolve) => {
    const finish = (facts: NamespaceFacts) => {
      clearTimeout(timer);
      unsubscribe();
      resolve(facts);
    };
    const timer = setTimeout(() => finish({ name }), waitMs);
    const unsubscribe = spaces.onChange(({ key, after }) => {
      if (key === name && after !== undefined) finish(after);
    });
  });
}

function clusterIpOf(raw: unknown): string | undefined {
  const ip = stringAt(raw, 'spec', 'clusterIP') ?? '';
  return ip === '' || ip === 'None' ? undefined : ip;
}

function caBundlesOf(raw: unknown): string[] {
  const entries = at(raw, 'webhooks');
  if (!Array.isArray(entries)) return [];
  return entries.map((entry) => Buffer.from(stringAt(entry, 'clientConfig', 'caBundle') ?? '', 'base64').toString('utf8'));
}
