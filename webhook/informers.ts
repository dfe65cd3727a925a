// What the webhook watches in the cluster, so that no admission waits for a call to the API server.

import type { Clock } from '../common/clock.ts';
import { at, stringAt } from '../common/records.ts';
import type { NamespaceFacts } from '../lib/identities/decision/decide.ts';
import type { PodException } from '../lib/identities/exceptions.ts';
import { exceptionOf } from '../lib/identities/exceptions.ts';
import { indexBy } from '../lib/identities/index-by.ts';
import type { LabelSelector } from '../lib/identities/label-selector.ts';
import type { KubeClient } from '../lib/kube/client.ts';
import type { Informer } from '../lib/kube/informer.ts';
import { startInformer } from '../lib/kube/informer.ts';
import { azurePodIdentityExceptions, limitRanges, mutatingWebhookConfigurations, namespaces, services } from '../lib/kube/resources.ts';
import type { Logger } from '../lib/log.ts';
import type { Limits } from './injection/limit-ranges.ts';
import { limitRangeOf } from './injection/limit-ranges.ts';
import { limitsByNamespace } from './limits-by-namespace.ts';
import { namespaceFactsOf, waitForNamespace } from './namespaces.ts';

export interface WebhookInformers {
  /** Every kind without which no pod can be decided has had its first list. */
  readonly synced: boolean;
  exceptionsOf(namespace: string): Iterable<PodException>;
  /** Of its LimitRanges. Without the right to list them, or before their first list, there are none: the API server judges the pod anyway. */
  limitsOf(namespace: string): Limits;
  /** Waits up to `waitMs` for a namespace that was created just before the pod, then resolves without its facts. */
  namespace(name: string, waitMs: number): Promise<NamespaceFacts>;
  /** ClusterIP of the broker's Service. */
  readonly brokerAddress: string | undefined;
  /** PEM of every entry of our webhook configuration; an entry without one is empty. The controller adds the entries once the webhook is ready. */
  readonly trusted: readonly string[];
  /** Calls after `trusted` changed; the returned function unsubscribes. */
  onTrustedChange(listener: () => void): () => void;
  stop(): Promise<void>;
}

export interface WebhookInformersOptions {
  client: KubeClient;
  log: Logger;
  clock: Clock;
  /** Release namespace. */
  namespace: string;
  brokerService: string;
  webhookConfiguration: string;
  guardNamespaceSelector: LabelSelector | undefined;
}

export function startWebhookInformers(options: WebhookInformersOptions): WebhookInformers {
  const { client, log, clock, namespace, brokerService, webhookConfiguration } = options;
  const guard = { selector: options.guardNamespaceSelector, releaseNamespace: namespace };
  const exceptions = startInformer({ client, log, resource: azurePodIdentityExceptions, project: exceptionOf });
  const exceptionsByNamespace = indexBy(exceptions, (exception) => exception.namespace);
  const namespaceFacts = startInformer({ client, log, resource: namespaces, project: (raw) => namespaceFactsOf(raw, guard) });
  const ranges = startInformer({ client, log, resource: limitRanges, project: limitRangeOf });
  const broker = startInformer({
    client,
    log,
    resource: services,
    namespace,
    fieldSelector: `metadata.name=${brokerService}`,
    project: clusterIpOf,
  });
  const configuration = startInformer({
    client,
    log,
    resource: mutatingWebhookConfigurations,
    fieldSelector: `metadata.name=${webhookConfiguration}`,
    project: caBundlesOf,
  });
  const required = [exceptions, namespaceFacts, broker, configuration];

  return {
    get synced() {
      return required.every((informer) => informer.synced);
    },
    exceptionsOf: (name) => [...exceptionsByNamespace(name)].flatMap((key) => exceptions.get(key) ?? []),
    limitsOf: limitsByNamespace(ranges),
    namespace: (name, waitMs) => waitForNamespace(namespaceFacts, name, waitMs, clock),
    get brokerAddress() {
      return first(broker);
    },
    get trusted() {
      return first(configuration) ?? [];
    },
    onTrustedChange: (listener) => configuration.onChange(listener),
    stop: async () => {
      await Promise.all([...required, ranges].map((informer) => informer.stop()));
    },
  };
}

const first = <T>(informer: Informer<T>): T | undefined => informer.values().next().value;

function clusterIpOf(raw: unknown): string | undefined {
  const ip = stringAt(raw, 'spec', 'clusterIP') ?? '';
  return ip === '' || ip === 'None' ? undefined : ip;
}

function caBundlesOf(raw: unknown): string[] {
  const entries = at(raw, 'webhooks');
  if (!Array.isArray(entries)) return [];
  return entries.map((entry) => Buffer.from(stringAt(entry, 'clientConfig', 'caBundle') ?? '', 'base64').toString('utf8'));
}
