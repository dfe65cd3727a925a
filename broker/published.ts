// What every replica serves from: the broker's own certificate and the bundle of CAs, followed by name.
import { brokerCertificateSecretName, caBundleConfigMapName, caBundleKey } from '../api/names.ts';
import type { KeyAndCertificate } from '../controller/certificates/issue.ts';
import { lifeOf, readLeaf } from '../controller/certificates/leaf.ts';
import { decodeData } from '../controller/certificates/store.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import { startInformer } from '../lib/kube/informer.ts';
import { stringAt } from '../lib/kube/objects.ts';
import { configMaps, secrets } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';

export interface Published {
  /** Undefined until the Secret holds a pair that belongs together; a damaged Secret leaves the last good pair. */
  readonly leaf: KeyAndCertificate | undefined;
  /** End of the leaf's life. */
  readonly leafEnds: Date | undefined;
  readonly caBundle: string | undefined;
  /** Called after any of the above changed; the returned function unsubscribes. */
  onChange(listener: () => void): () => void;
  stop(): Promise<void>;
}

export function followPublished(options: { client: KubeClient; log: Logger; namespace: string }): Published {
  const { client, log, namespace } = options;
  const listeners = new Set<() => void>();
  let leaf: KeyAndCertificate | undefined;
  let caBundle: string | undefined;
  const tell = () => {
    for (const listener of listeners) listener();
  };

  const leaves = startInformer({
    client,
    log,
    resource: secrets,
    namespace,
    fieldSelector: `metadata.name=${brokerCertificateSecretName}`,
    project: decodeData,
  });
  leaves.onChange(({ after }) => {
    const pair = after === undefined ? undefined : readLeaf(after);
    if (pair === undefined) {
      log.warn({ secret: brokerCertificateSecretName }, 'the broker has no usable certificate in its Secret; the last good one stays');
      return;
    }
    if (pair.certificate === leaf?.certificate) return;
    leaf = pair;
    tell();
  });

  const bundles = startInformer({
    client,
    log,
    resource: configMaps,
    namespace,
    fieldSelector: `metadata.name=${caBundleConfigMapName}`,
    project: (raw) => stringAt(raw, 'data', caBundleKey),
  });
  bundles.onChange(({ after }) => {
    if (after === undefined || after === caBundle) return;
    caBundle = after;
    tell();
  });

  return {
    get leaf() {
      return leaf;
    },
    get leafEnds() {
      return leaf === undefined ? undefined : new Date(lifeOf(leaf.certificate).notAfter);
    },
    get caBundle() {
      return caBundle;
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
