// The certificate that a program serves with, and the CAs that its clients trust. Others write both; webhook and broker follow them by name.
import { caBundleConfigMapName } from '../../api/names.ts';
import { systemClock } from '../../common/clock.ts';
import type { KubeClient } from '../kube/client.ts';
import { startInformer } from '../kube/informer.ts';
import { stringMapAt } from '../kube/objects.ts';
import type { Resource } from '../kube/resources.ts';
import { configMaps, secrets } from '../kube/resources.ts';
import { decodeSecretData } from '../kube/secret-data.ts';
import type { Logger } from '../log.ts';
import { readBundle } from './ca-bundle.ts';
import type { CertificateSource } from './certificate-source.ts';
import type { CheckedKeyPair } from './key-pair.ts';
import { createRollover } from './rollover.ts';

export interface ServingCertificate {
  /** Undefined until the Secret holds a good pair. A damaged or deleted Secret changes nothing. */
  readonly keyPair: CheckedKeyPair | undefined;
  /** PEM. Undefined until the ConfigMap holds it. A deleted ConfigMap changes nothing. */
  readonly caBundle: string | undefined;
  /** Both objects have been read once, whether they exist or not. */
  readonly synced: boolean;
  /** Why no client would take the certificate that is served now, in one line; undefined where all is well. */
  readonly problem: string | undefined;
  /** Called after any of the above changed; the returned function unsubscribes. */
  onChange(listener: () => void): () => void;
  stop(): Promise<void>;
}

/** Bundles of clients that do not read the ConfigMap. */
export interface OtherTrust {
  /** PEM. Empty where there are no such clients. */
  bundles(): readonly string[];
  /** Calls after they changed; the returned function unsubscribes. */
  onChange(listener: () => void): () => void;
}

export interface ServingCertificateOptions {
  client: KubeClient;
  log: Logger;
  source: CertificateSource;
  otherTrust?: OtherTrust;
}

export function followServingCertificate({ client, log, source, otherTrust }: ServingCertificateOptions): ServingCertificate {
  const follow = <T>(resource: Resource, name: string, project: (raw: unknown) => T | undefined) =>
    startInformer({ client, log, resource, namespace: source.namespace, fieldSelector: `metadata.name=${name}`, project });
  const leaves = follow(secrets, source.secret, decodeSecretData);
  const bundles = follow(configMaps, caBundleConfigMapName, (raw) => readBundle(stringMapAt(raw, 'data')));

  const listeners = new Set<() => void>();
  const rollover = createRollover({
    log,
    clock: systemClock,
    source,
    otherBundles: () => otherTrust?.bundles() ?? [],
    onChange() {
      for (const listener of listeners) listener();
    },
  });
  leaves.onChange(({ after }) => {
    if (after !== undefined) rollover.secretChanged(after);
  });
  void leaves.whenSynced().then(() => {
    if (leaves.values().next().done === true) rollover.secretMissing();
  });
  bundles.onChange(({ after }) => {
    if (after !== undefined) rollover.bundleChanged(after);
  });
  const unsubscribe = otherTrust?.onChange(() => rollover.otherBundlesChanged());

  return {
    get keyPair() {
      return rollover.served;
    },
    get caBundle() {
      return rollover.published?.bundle;
    },
    get synced() {
      return leaves.synced && bundles.synced;
    },
    get problem() {
      return rollover.problem;
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async stop() {
      unsubscribe?.();
      rollover.stop();
      await Promise.all([leaves.stop(), bundles.stop()]);
    },
  };
}
