// The certificate that a program serves with, and the CAs that its clients trust. The controller writes both; webhook and broker follow them by name.
import { caBundleConfigMapName, caBundleKey } from '../../api/names.ts';
import type { KubeClient } from '../kube/client.ts';
import { startInformer } from '../kube/informer.ts';
import { stringAt } from '../kube/objects.ts';
import type { Resource } from '../kube/resources.ts';
import { configMaps, secrets } from '../kube/resources.ts';
import { decodeSecretData } from '../kube/secret-data.ts';
import type { Logger } from '../log.ts';
import type { CheckedKeyPair } from './key-pair.ts';
import { parseKeyPair } from './key-pair.ts';

export interface ServingCertificate {
  /** Undefined until the Secret holds a good pair. A damaged or deleted Secret changes nothing. */
  readonly keyPair: CheckedKeyPair | undefined;
  /** PEM. Undefined until the ConfigMap holds it. A deleted ConfigMap changes nothing. */
  readonly caBundle: string | undefined;
  /** Both objects have been read once, whether they exist or not. */
  readonly synced: boolean;
  /** Called after any of the above changed; the returned function unsubscribes. */
  onChange(listener: () => void): () => void;
  stop(): Promise<void>;
}

export interface ServingCertificateOptions {
  client: KubeClient;
  log: Logger;
  /** Release namespace. */
  namespace: string;
  secret: string;
}

export function followServingCertificate({ client, log, namespace, secret }: ServingCertificateOptions): ServingCertificate {
  const follow = <T>(resource: Resource, name: string, project: (raw: unknown) => T | undefined) =>
    startInformer({ client, log, resource, namespace, fieldSelector: `metadata.name=${name}`, project });
  const leaves = follow(secrets, secret, decodeSecretData);
  const bundles = follow(configMaps, caBundleConfigMapName, (raw) => stringAt(raw, 'data', caBundleKey));

  const listeners = new Set<() => void>();
  let keyPair: CheckedKeyPair | undefined;
  let caBundle: string | undefined;
  const notify = () => {
    for (const listener of listeners) listener();
  };
  leaves.onChange(({ after }) => {
    if (after === undefined) return;
    try {
      keyPair = parseKeyPair(after);
      notify();
    } catch (error) {
      log.error({ secret, error: String(error), previousInUse: keyPair !== undefined }, 'serving certificate refused');
    }
  });
  bundles.onChange(({ after }) => {
    if (after === undefined) return;
    caBundle = after;
    notify();
  });

  return {
    get keyPair() {
      return keyPair;
    },
    get caBundle() {
      return caBundle;
    },
    get synced() {
      return leaves.synced && bundles.synced;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async stop() {
      await Promise.all([leaves.stop(), bundles.stop()]);
    },
  };
}
